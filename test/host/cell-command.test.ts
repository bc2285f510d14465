import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { kernelCalls } from '../../src/confine/kernel-calls.ts';
import {
  type CellGrants,
  type CellProgram,
  cellPermissions,
  cellProgram,
  NO_GRANTS,
  programFor,
} from '../../src/host/cell-command.ts';
import {
  permissionLists,
  wordsWithLists,
  wordsWithPermissions,
} from '../../src/host/node-permissions.ts';
import type { WasiLayer } from '../../src/wasi/layers.ts';
import { scratchDirectory } from './scratch.ts';

const DENIED = 'ERR_ACCESS_DENIED';
const scratch = scratchDirectory();
const here = fileURLToPath(new URL('.', import.meta.url));

const LISTS_FD = 3;

function cellArguments(program: CellProgram, grants: CellGrants): string[] {
  return [...wordsWithPermissions(cellPermissions(program, grants)), program.entry];
}

describe('the permissions of a cell', () => {
  const readable = join(scratch, 'readable');
  const writable = join(scratch, 'wri,table with spaces');
  const secret = join(scratch, 'secret');
  mkdirSync(readable);
  mkdirSync(writable);
  writeFileSync(secret, 'key');
  const program = {
    ...cellProgram(process.execPath),
    entry: join(here, 'confined-probe.ts'),
    codeDirectories: [here, join(here, '../../src/cell/')],
  };
  const permissions = cellPermissions(program, {
    ...NO_GRANTS,
    preopens: [
      { hostPath: readable, guestPath: '/r', readOnly: true },
      { hostPath: writable, guestPath: '/w', readOnly: false },
    ],
  });
  const lists = kernelCalls()?.memoryFile(Buffer.from(permissionLists(permissions))) ?? null;
  const ways: readonly [string, readonly string[]][] = [
    ['in the command line', wordsWithPermissions(permissions)],
    ...(lists === null ? [] : [['in a file', wordsWithLists(LISTS_FD)] as [string, string[]]]),
  ];
  const entries = ['confined-probe.ts', 'confined-thread.ts'];
  afterAll(() => {
    if (lists !== null) closeSync(lists);
  });

  test.each(ways.flatMap(([way, words]) => entries.map((entry) => ({ way, entry, words }))))(
    '$way, in $entry, are its code and what was granted, and nothing else',
    ({ entry, words }) => {
      const ran = spawnSync(
        process.execPath,
        [...words, join(here, entry), secret, readable, writable],
        { env: {}, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe', lists ?? 'ignore'] },
      );
      expect(ran.stderr).toBe('');
      const found = JSON.parse(ran.stdout);
      expect(found).toEqual({
        environment: [],
        readSecret: DENIED,
        listRoot: DENIED,
        readKernel: DENIED,
        readGranted: 'yes',
        writeReadOnly: DENIED,
        writeGranted: 'yes',
        startProcess: DENIED,
        connect: DENIED,
        // The signal that opens an inspector elsewhere is not even noticed: nothing listens for it.
        inspect: 'yes',
      });
    },
  );

  test('are nothing at all where the lists can not be read', () => {
    for (const text of ['', '{', '{"permission":{"allow-fs-read":[7]}}', null]) {
      const file = join(scratch, 'lists.json');
      writeFileSync(file, text ?? '');
      const fd = text === null ? 'ignore' : openSync(file, 'r');
      const words = wordsWithLists(text === null ? LISTS_FD + 1 : LISTS_FD);
      const { stdout, status } = spawnSync(process.execPath, [...words, '-e', 'console.log(1)'], {
        env: {},
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe', fd],
      });
      if (fd !== 'ignore') closeSync(fd);
      expect({ text, stdout, status }).toEqual({ text, stdout: '', status: 9 });
    }
  });

  test('reach a granted directory above another one, and above the code', () => {
    const grant = (hostPath: string) => ({ hostPath, guestPath: '/', readOnly: false });
    const open = 'for (const path of process.argv.slice(1)) require("node:fs").readdirSync(path)';
    for (const [first, second] of [
      [readable, scratch],
      [scratch, readable],
      ['/', readable],
      [readable, '/'],
    ] as const) {
      const flags = cellArguments(program, {
        ...NO_GRANTS,
        preopens: [grant(first), grant(second)],
      }).slice(0, -1);
      const args = [...flags, '-e', open, first, second, here];
      const { status, stderr } = spawnSync(process.execPath, args, { env: {}, encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
    }
  });

  test('in a private directory are for reading, and the job has a place for what it changes', () => {
    const own = {
      hostPath: '/private',
      guestPath: '/p',
      readOnly: false,
      policy: 'private',
    } as const;
    const words = cellArguments(program, {
      ...NO_GRANTS,
      preopens: [own],
      keepingDirectory: '/job/files',
    });
    expect(words).toContain('--allow-fs-read=/private');
    expect(words).not.toContain('--allow-fs-write=/private');
    expect(words).toContain('--allow-fs-write=/job/files');
  });

  test('are refused for a path that would be taken for many', () => {
    for (const grants of [
      { ...NO_GRANTS, keepingDirectory: '/home/ann/a*b/files' },
      { ...NO_GRANTS, preopens: [{ hostPath: '/data/*', guestPath: '/', readOnly: true }] },
      { ...NO_GRANTS, paths: [{ hostPath: '/db*', readOnly: true }] },
    ]) {
      expect(() => cellArguments(program, grants)).toThrow(/\*/);
    }
  });

  test('reach packages behind a link', () => {
    const code = join(scratch, 'linked/src/');
    mkdirSync(code, { recursive: true });
    symlinkSync(join(here, '../../node_modules'), join(scratch, 'linked/node_modules'));
    const entry = join(code, 'entry.mjs');
    writeFileSync(
      entry,
      "import { Decoder } from 'cbor-x/decode';\nconsole.log(typeof Decoder);\n",
    );
    const linked = { ...cellProgram(process.execPath, code), entry };
    const args = cellArguments(linked, NO_GRANTS);
    const { stdout, stderr } = spawnSync(process.execPath, args, { env: {}, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout).toBe('function\n');
  });

  test('reach the package of another WASI layer only where it is asked for', () => {
    const own = cellProgram(process.execPath);
    const reaches = (layer: WasiLayer) =>
      cellArguments(programFor(own, layer), NO_GRANTS).some((word) =>
        word.includes('@wasmer/wasi'),
      );
    expect(reaches('stasis')).toBe(false);
    expect(reaches('wasmer')).toBe(true);
  });

  test('without a directory do not include the descriptors either', () => {
    expect(cellArguments(program, NO_GRANTS).join(' ')).not.toContain('/proc/self/fd');
  });
});
