import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findInstrumented, keepInstrumented } from '../../src/host/instrument-cache.ts';
import { readModuleFile } from '../../src/host/module-file.ts';
import { dropModules, keepModule, loadModule } from '../../src/host/module-store.ts';
import { placesUnder, preparePlaces } from '../../src/host/places.ts';
import { scratchDirectory } from './scratch.ts';

const scratch = scratchDirectory();
const places = placesUnder(join(scratch, 'home'), join(scratch, 'short'));
preparePlaces(places);

const MODULE = Buffer.from('\0asm\u0001\0\0\0', 'latin1');

function file(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

describe('a file that a user names', () => {
  test('is read with the digest of what was read', () => {
    const { bytes, digest } = readModuleFile(file('good.wasm', MODULE));
    expect(Buffer.compare(bytes, MODULE)).toBe(0);
    expect(digest).toBe('93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476');
  });

  test.each<[string, string | Uint8Array, string]>([
    ['empty', '', 'ERR_NOT_WASM'],
    ['of text', 'hello world', 'ERR_NOT_WASM'],
    ['of one byte of the magic', '\0', 'ERR_MALFORMED_MODULE'],
    ['cut in its magic', '\0as', 'ERR_MALFORMED_MODULE'],
    ['cut in its version', '\0asm\u0001', 'ERR_MALFORMED_MODULE'],
    ['of an unknown version', '\0asm\u0002\0\0\0', 'ERR_MALFORMED_MODULE'],
    ['of a component', '\0asm\u000d\0\u0001\0', 'ERR_COMPONENT'],
  ])('%s is refused', (_, content, code) => {
    const path = file('bad.wasm', content);
    expect(() => readModuleFile(path)).toThrow(expect.objectContaining({ code }));
  });

  test('in the text format is refused with a hint', () => {
    expect(() => readModuleFile(file('a.wat', '(module)'))).toThrow(
      expect.objectContaining({ code: 'ERR_NOT_WASM', hint: expect.stringContaining('wat2wasm') }),
    );
  });

  test('that is missing, also because its directory is none, is told so', () => {
    const path = join(scratch, 'missing.wasm');
    expect(() => readModuleFile(path)).toThrow(
      expect.objectContaining({ code: 'ERR_NO_SUCH_FILE' }),
    );
    const below = join(file('plain', ''), 'x.wasm');
    expect(() => readModuleFile(below)).toThrow(
      expect.objectContaining({ code: 'ERR_NO_SUCH_FILE' }),
    );
  });

  test('that is a directory, a device or a FIFO is refused at once', () => {
    const fifo = join(scratch, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const path of [scratch, '/dev/zero', fifo]) {
      expect(() => readModuleFile(path)).toThrow(
        expect.objectContaining({ code: 'ERR_MODULE_UNREADABLE' }),
      );
    }
  });

  test('that is too large is refused before it is read', () => {
    const path = file('large.wasm', MODULE);
    truncateSync(path, 2 ** 40);
    expect(() => readModuleFile(path)).toThrow(
      expect.objectContaining({ code: 'ERR_MODULE_UNREADABLE' }),
    );
  });
});

describe('the copies of modules', () => {
  const module = readModuleFile(file('kept.wasm', MODULE));

  test('come back, and are dropped when nobody uses them', () => {
    keepModule(places, module);
    keepModule(places, module);
    expect(loadModule(places, module.digest).digest).toBe(module.digest);
    expect(readdirSync(places.modules).length).toBe(1);
    dropModules(places, new Set([module.digest]));
    expect(readdirSync(places.modules).length).toBe(1);
    dropModules(places, new Set());
    expect(() => loadModule(places, module.digest)).toThrow(
      expect.objectContaining({ code: 'ERR_NO_SUCH_FILE' }),
    );
  });

  test('that were changed are refused', () => {
    keepModule(places, module);
    writeFileSync(join(places.modules, `${module.digest}.wasm`), 'something else');
    expect(() => loadModule(places, module.digest)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_DAMAGED' }),
    );
  });
});

describe('the instrument cache', () => {
  const key = { module: 'a'.repeat(64), instrumenter: '1' };
  const made = { bytes: new Uint8Array([1, 2, 3]), plan: new Uint8Array([4, 5]) };
  const now = () => new Date(0);
  const path = join(places.cache, `${key.module}-1`);

  test('gives back what it was given, by module and version', () => {
    expect(findInstrumented(places, key, now)).toBe(null);
    keepInstrumented(places, key, made);
    const found = findInstrumented(places, key, now);
    expect([...(found?.bytes ?? [])]).toEqual([1, 2, 3]);
    expect([...(found?.plan ?? [])]).toEqual([4, 5]);
    expect(findInstrumented(places, { ...key, instrumenter: '2' }, now)).toBe(null);
  });

  test('takes an entry with any changed byte, or cut anywhere, for absent', () => {
    keepInstrumented(places, key, made);
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += 1) {
      const changed = Buffer.from(whole);
      changed[at]! ^= 1;
      writeFileSync(path, changed);
      expect(findInstrumented(places, key, now), `byte ${at}`).toBe(null);
      writeFileSync(path, whole.subarray(0, at));
      expect(findInstrumented(places, key, now), `cut at ${at}`).toBe(null);
    }
  });

  test('goes on without a directory', () => {
    const nowhere = placesUnder(join(scratch, 'nowhere'), '/unused');
    keepInstrumented(nowhere, key, made);
    expect(findInstrumented(nowhere, key, now)).toBe(null);
  });

  test('drops what was used longest ago when it grows too large', () => {
    const old = join(places.cache, 'old');
    const older = join(places.cache, 'older');
    for (const [entry, days] of [
      [old, 2],
      [older, 3],
    ] as const) {
      writeFileSync(entry, '');
      truncateSync(entry, 300 * 2 ** 20);
      utimesSync(entry, 1_700_000_000 - days * 86_400, 1_700_000_000 - days * 86_400);
    }
    keepInstrumented(places, key, made);
    const left = readdirSync(places.cache);
    expect(left).toContain('old');
    expect(left).not.toContain('older');
    rmSync(places.cache, { recursive: true });
    mkdirSync(places.cache);
  });
});
