import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  findImports,
  type Import,
  readSource,
  roomOf,
  SOURCE,
  type SourceFile,
  withoutComments,
} from './source-imports.ts';

/** A room imports only from lower floors, types included. `fault/` is open to all, and stands on none. */
const FLOORS: Readonly<Record<string, number>> = {
  cli: 8,
  edge: 7,
  checkpoint: 6,
  host: 5,
  cell: 4,
  wasi: 3,
  component: 3,
  confine: 2,
  handle: 2,
  kv: 2,
  pool: 2,
  vault: 2,
  trace: 2,
  image: 1,
  instrument: 1,
  native: 1,
  resource: 1,
  store: 1,
  abi: 0,
  wasm: 0,
  cbor: 0,
};

const WALL_CLOCK = 'cell/wall-clock.ts';
const RANDOMNESS = 'cell/randomness.ts';

function brokenFloors(edges: readonly Import[]): string[] {
  return edges
    .filter(({ own, from, to }) => {
      const [above, below] = [roomOf(from), roomOf(to)];
      if (!own || above === below || below === 'fault') return false;
      if (above === '') return false;
      return !(FLOORS[above]! > FLOORS[below]!);
    })
    .map(({ from, to }) => `${from} imports ${to}`);
}

/** What only some runs need, by the entry that must not load it from the start. */
const LATER: Readonly<Record<string, readonly string[]>> = {
  'cli/main.ts': ['vault/open-vault.ts', 'checkpoint/restore.ts', 'cli-table3', 'yocto-spinner'],
  'cell/begin.ts': ['cell/carrier.ts'],
  'cell/carrier.ts': ['cell/twin-workshop.ts', 'instrument/instrument.ts'],
  'cell/worker.ts': [
    'instrument/instrument.ts',
    'cell/twin-workshop.ts',
    'cell/foreign-providers.ts',
    'kv/kv-provider.ts',
    'pool/pool-provider.ts',
    'wasi/wasmer-layer.ts',
    'node:sqlite',
  ],
};

/** Files that can be reached from `start` through imports of ours. */
function reachable(start: readonly string[], edges: readonly Import[]): Set<string> {
  const seen = new Set(start);
  for (const path of seen) {
    for (const { from, to, own } of edges) if (own && from === path) seen.add(to);
  }
  return seen;
}

function brokenWalls(files: readonly SourceFile[], edges: readonly Import[]): string[] {
  const broken: string[] = [];
  const importedBy = (name: RegExp, allowed: readonly string[], except: readonly string[] = []) => {
    for (const { from, to, names } of edges) {
      if (!name.test(to) || allowed.includes(roomOf(from))) continue;
      if (names.length > 0 && names.every((one) => except.includes(one))) continue;
      broken.push(`${from} imports ${to}`);
    }
  };
  const writtenIn = (what: RegExp, allowed: (path: string) => boolean) => {
    for (const { path, code } of files) {
      const found = what.exec(code);
      if (found !== null && !allowed(path)) broken.push(`${path} uses ${found[0]}`);
    }
  };

  // Only vault/ and store/ touch keys and ciphers; a digest and a random number need no key.
  const keyless = ['createHash', 'randomBytes', 'randomFillSync'];
  importedBy(/^(node:)?crypto$/, ['vault', 'store'], keyless);
  // Only host/ and cell/ start processes and threads.
  importedBy(/^(node:)?(child_process|worker_threads|cluster)$/, ['host', 'cell']);
  // Only component/ imports jco.
  importedBy(/jco/, ['component']);
  // Only one file loads a package by hand.
  writtenIn(/\bcreateRequire\b/, (path) => path === 'wasi/wasmer-package.ts');
  // Only cli/ reads arguments and environment, and exits.
  writtenIn(/\bprocess\.(argv|env|exit|exitCode)\b/, (path) => roomOf(path) === 'cli');
  // Wall clock and randomness come in through one file each.
  writtenIn(
    /\bDate\.now\b|\bnew Date\(\)|\bhrtime\b|\bperformance\.now\b/,
    (path) => path === WALL_CLOCK,
  );
  writtenIn(
    /\bMath\.random\b|\brandom(Bytes|Fill|FillSync|UUID|Int)\b|\bgetRandomValues\b/,
    (path) => path === RANDOMNESS,
  );
  // Nothing in the guest's process reaches the vault or its store, by however many steps.
  const inside = files
    .map(({ path }) => path)
    .filter((path) => /^(cell|wasi|handle|pool)\//.test(path));
  for (const path of reachable(inside, edges)) {
    if (/^(vault|store)\//.test(path)) broken.push(`the guest's process reaches ${path}`);
  }
  return broken;
}

describe('floors', () => {
  const files = readSource();
  const edges = files.flatMap(findImports);

  test('every file is in a room that has a floor', () => {
    const rooms = new Set(files.map(({ path }) => roomOf(path)));
    expect(rooms.size).toBeGreaterThan(10);
    for (const room of rooms) expect(['', 'fault', ...Object.keys(FLOORS)]).toContain(room);
  });

  test('every import was understood', () => {
    const statements = files.flatMap(
      ({ code }) => code.match(/\bfrom\s+'|\bimport\(\s*'|^import\s+'/gm) ?? [],
    );
    expect(edges.length).toBeGreaterThan(100);
    expect(edges.length).toBe(statements.length);
    for (const { from, to, own } of edges) {
      if (own) expect(existsSync(join(SOURCE, to)), `${from} imports ${to}`).toBe(true);
    }
  });

  test('what is imported later is named where it is, but for files of the user', () => {
    const computed = (code: string) => code.match(/\bimport\((?!\s*'[^']+'\s*\))/g) ?? [];
    expect(computed('await import(name); await import(`./a.ts`)')).toHaveLength(2);
    expect(computed("await import('./a.ts'); type A = import('./a.ts')")).toEqual([]);
    const found = files.flatMap(({ path, code }) => computed(code).map(() => path));
    expect(found).toEqual(['cell/foreign-providers.ts']);
  });

  test.each(Object.entries(LATER))(
    '%s does not load from the start what few runs need',
    (entry, later) => {
      const loading = edges.filter(({ loads }) => loads);
      const files = reachable([entry], loading);
      const all = new Set([
        ...files,
        ...loading.filter(({ from }) => files.has(from)).map(({ to }) => to),
      ]);
      expect(files.size).toBeGreaterThan(1);
      for (const one of later) {
        expect(
          edges.some(({ to }) => to === one),
          `${one} is imported somewhere`,
        ).toBe(true);
        expect(all.has(one), `${entry} loads ${one}`).toBe(false);
      }
    },
  );

  test('no import goes up or sideways', () => {
    expect(brokenFloors(edges)).toEqual([]);
  });

  test('no wall is broken', () => {
    expect(brokenWalls(files, edges)).toEqual([]);
  });
});

describe('the checks themselves', () => {
  const plant = (path: string, code: string) => {
    const files = [{ path, code: withoutComments(code) }];
    const edges = files.flatMap(findImports);
    return [...brokenFloors(edges), ...brokenWalls(files, edges)];
  };

  test.each([
    ['a value from above', 'wasm/a.ts', "import { a } from '../cli/b.ts';"],
    ['a type from above', 'wasm/a.ts', "import type { A } from '../instrument/b.ts';"],
    ['an import from the same floor', 'vault/a.ts', "export { a } from '../handle/b.ts';"],
    ['a dynamic import from above', 'host/a.ts', "const a = await import('../cli/b.ts');"],
    ['a room that fault/ would stand on', 'fault/a.ts', "import { a } from '../cbor/b.ts';"],
    ['a cipher outside the vault', 'host/a.ts', "import { createCipheriv } from 'node:crypto';"],
    ['all of crypto outside the vault', 'host/a.ts', "import * as crypto from 'node:crypto';"],
    ['the vault within the guest', 'cell/a.ts', "import type { V } from '../vault/vault.ts';"],
    ['a process of the command line', 'cli/a.ts', "import { spawn } from 'node:child_process';"],
    ['the environment outside cli/', 'host/a.ts', 'const a = process.env;'],
    ['a second clock', 'host/a.ts', 'const a = new Date();'],
    ['a second source of randomness', 'cli/a.ts', 'const a = Math.random();'],
    ['a package loaded by hand', 'cell/a.ts', 'const require = createRequire(here);'],
  ])('%s is found', (_, path, code) => {
    expect(plant(path, code)).not.toEqual([]);
  });

  test.each([
    ['a comment', 'host/a.ts', '// process.env, import x from "../cli/b.ts"\n/* new Date() */'],
    ['a lower floor', 'host/a.ts', "import { a } from '../cell/b.ts';"],
    ['a fault from anywhere', 'cbor/a.ts', "import { a } from '../fault/b.ts';"],
    ['a digest', 'host/a.ts', "import { createHash } from 'node:crypto';"],
    ['a date from a number', 'host/a.ts', 'const a = new Date(0);'],
  ])('%s is let through', (_, path, code) => {
    expect(plant(path, code)).toEqual([]);
  });
});
