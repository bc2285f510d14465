import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { type Anchor, closeAnchor, openAnchor, openRootAnchor } from '../../src/handle/anchor.ts';
import { showGuestText } from '../../src/handle/guest-text.ts';
import { setTimesOfFile, setTimesOfPath } from '../../src/handle/times.ts';
import { endWalk, followLink, startWalk, walkedPath } from '../../src/handle/walk.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stasis-anchor-'));
  mkdirSync(join(dir, 'in/a/b'), { recursive: true });
  writeFileSync(join(dir, 'in/a/b/c'), '');
  symlinkSync('../..', join(dir, 'in/a/out'));
  symlinkSync('a/b', join(dir, 'in/ab'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function ending(root: Anchor, path: string): string | number {
  const walk = startWalk(root, path);
  if (typeof walk === 'number') return walk;
  const path2 = walkedPath(walk);
  endWalk(walk);
  return path2;
}

test.each(['by descriptor', 'by path'])('walks %s stay below the root', (way) => {
  const real = openRootAnchor(join(dir, 'in'));
  const byPath = { fd: real.fd, prefix: `${join(dir, 'in')}/`, byDescriptor: false, view: null };
  const root = way === 'by path' ? byPath : real;
  expect(real.byDescriptor).toBe(true);
  expect(ending(root, 'a/b/c')).toBe('a/b/c');
  expect(ending(root, './/a/../ab/./c')).toBe('a/b/c');
  expect(ending(root, 'a/b/../..')).toBe('');
  expect(ending(root, 'a/b/../../..')).toBe(ERRNO.NOTCAPABLE);
  expect(ending(root, 'a/out/x')).toBe(ERRNO.NOTCAPABLE);
  expect(ending(root, '/a')).toBe(ERRNO.NOTCAPABLE);
  expect(ending(root, 'a/b/c/d')).toBe(ERRNO.NOTDIR);
  expect(ending(root, 'a/none/d')).toBe(ERRNO.NOENT);
  const walk = startWalk(root, 'ab');
  if (typeof walk === 'number') throw new Error('no walk');
  expect(followLink(walk)).toBe(ERRNO.SUCCESS);
  expect(walkedPath(walk)).toBe('a/b');
  expect(followLink(walk)).toBe(ERRNO.INVAL);
  endWalk(walk);
  expect(() => openAnchor(root, 'ab')).toThrow(/ENOTDIR|ELOOP/);
  closeAnchor(real);
});

test('without native calls times are set to the microsecond and kept where asked', () => {
  const path = join(dir, 'in/a/b/c');
  const atime = 1_600_000_000_123_456_000n;
  const times = { atime, mtime: 'now', nowNs: 1_700_000_000_000_001_000n } as const;
  const close = (ns: bigint, wanted: bigint) => {
    const apart = ns - wanted;
    return apart < 2_000n && apart > -2_000n;
  };
  expect(setTimesOfPath(path, times, null)).toBe(ERRNO.SUCCESS);
  const first = statSync(path, { bigint: true });
  expect(close(first.atimeNs, atime)).toBe(true);
  expect(close(first.mtimeNs, times.nowNs)).toBe(true);
  const fd = openSync(path, 'r');
  const kept = { atime: 'keep', mtime: 5_000_000_000n, nowNs: 0n } as const;
  expect(setTimesOfFile(fd, `/proc/self/fd/${fd}`, kept, null)).toBe(ERRNO.SUCCESS);
  const second = statSync(path, { bigint: true });
  expect(close(second.atimeNs, atime)).toBe(true);
  expect(second.mtimeNs).toBe(5_000_000_000n);
  expect(setTimesOfFile(fd, null, kept, null)).toBe(ERRNO.NOTSUP);
  closeSync(fd);
});

test('guest text is shown escaped and cut', () => {
  expect(showGuestText('plain name ü.txt')).toBe('"plain name ü.txt"');
  expect(showGuestText('\u001b[31m\n\u202e"\\\ud800')).toBe(
    '"\\u{1b}[31m\\u{a}\\u{202e}\\"\\\\\\u{d800}"',
  );
  expect(showGuestText('x'.repeat(1000))).toHaveLength(203);
});
