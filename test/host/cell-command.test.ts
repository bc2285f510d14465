import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { cellArguments, cellProgram, NO_GRANTS, programFor } from '../../src/host/cell-command.ts';
import type { WasiLayer } from '../../src/wasi/layers.ts';
import { scratchDirectory } from './scratch.ts';

const DENIED = 'ERR_ACCESS_DENIED';
const scratch = scratchDirectory();
const here = fileURLToPath(new URL('.', import.meta.url));

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
    codeDirectories: [here],
  };
  const words = cellArguments(program, {
    ...NO_GRANTS,
    preopens: [
      { hostPath: readable, guestPath: '/r', readOnly: true },
      { hostPath: writable, guestPath: '/w', readOnly: false },
    ],
  });
  const ran = spawnSync(process.execPath, [...words, secret, readable, writable], {
    env: {},
    encoding: 'utf8',
  });

  test('are its own code and the directories that were granted, and nothing else', () => {
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
