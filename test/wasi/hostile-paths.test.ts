/**
 * Every call that takes a path, on every path that could lead out or hang: links in each place, `..` runs, what
 * is no file, names that are no names. A racing swapper is in paths.test.ts and fuzz.test.ts.
 *
 * Holds: an errno, at once; what lies outside is neither changed, nor opened, nor told of.
 */
import { execFileSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { RIGHT, RIGHTS_ALL } from '../../src/abi/rights.ts';
import { AT, createHost, type Guest, type Host, removeHost, startGuest } from './harness.ts';

const SECRET = 'a-secret-that-lies-outside';

let host: Host;
let guest: Guest;
let outside: string;
let server: Server;
const inside = (name: string) => join(host.dir, name);

beforeEach(async () => {
  host = createHost();
  outside = mkdtempSync(join(tmpdir(), 'stasis-outside-'));
  writeFileSync(join(outside, 'secret'), SECRET);
  mkdirSync(join(outside, 'deep'));
  mkdirSync(inside('dir/nested'), { recursive: true });
  writeFileSync(inside('file'), 'file');
  execFileSync('mkfifo', [inside('fifo')]);
  server = createServer();
  await new Promise<void>((resolve) => server.listen(inside('socket'), resolve));
  for (const [name, target] of [
    ['up', '..'],
    ['upper', '../..'],
    ['abs', outside],
    ['abs-file', join(outside, 'secret')],
    ['root', '/'],
    ['proc', '/proc/self/root'],
    ['proc-fd', '/proc/self/fd/0'],
    ['dev', '/dev/zero'],
    ['chain', 'chain-2'],
    ['chain-2', 'abs'],
    ['through', 'dir/../../x'],
    ['loop', 'loop'],
    ['dangling', 'nothing'],
    ['to-fifo', 'fifo'],
    ['dir/back', '../abs'],
  ] as const) {
    symlinkSync(target, inside(name));
  }
  guest = startGuest(host);
});

afterEach(async () => {
  guest.resources.close();
  await new Promise((resolve) => server.close(resolve));
  removeHost(host);
  rmSync(outside, { recursive: true });
});

/** Names, sizes and times of what is below a directory, links not followed. */
function below(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    const stats = lstatSync(path, { bigint: true });
    const line = `${path} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.nlink}`;
    return stats.isDirectory() ? [line, ...below(path)] : [line];
  });
}

const outsideNow = () => below(outside);

const ENDINGS = ['', '/', '//', '/.', '/..', '/secret', '/deep/new', '/../secret'];
const LEADING_OUT = [
  ...['up', 'upper', 'abs', 'abs-file', 'root', 'proc', 'proc-fd', 'dev', 'chain', 'through'],
  ...[
    'dir/back',
    '..',
    '../..',
    'dir/../..',
    'dir/nested/../../..',
    './..',
    '/',
    '//',
    '/etc',
    '/proc/self',
  ],
  ...['../'.repeat(500), `${'dir/../'.repeat(500)}..`, `${'./'.repeat(1000)}..`],
];
const SPECIAL = ['fifo', 'socket', 'to-fifo', 'loop', 'dangling'];
const NO_NAMES = ['', 'a\0b', '\0', 'x'.repeat(256), 'x'.repeat(5000), `${'x/'.repeat(30_000)}`];

const RIGHTS = [0, RIGHT.FD_READ, RIGHT.FD_WRITE, RIGHT.FD_READ | RIGHT.FD_WRITE, RIGHTS_ALL];

/** Each call once with this path, in each place where it takes one; `done` is told of each. */
function eachCall(path: string, done: (what: string, errno: number) => void): void {
  const put = () => guest.put(0x8_0000, path);
  const at = 0x8_0000;
  const other = guest.put(AT.path2, 'new');
  const calls = guest.calls;
  for (const follow of [0, 1]) {
    done(`filestat ${follow}`, calls['path_filestat_get']!(3, follow, at, put(), AT.result));
    done(`link from ${follow}`, calls['path_link']!(3, follow, at, put(), 3, AT.path2, other));
    calls['path_unlink_file']!(3, AT.path2, other);
    for (const oflags of [0, 1, 2, 5, 8, 9]) {
      for (const rights of RIGHTS) {
        const errno = calls['path_open']!(
          3,
          follow,
          at,
          put(),
          oflags,
          BigInt(rights),
          BigInt(RIGHTS_ALL),
          0,
          AT.result,
        );
        done(`open ${follow} ${oflags} ${rights}`, errno);
        if (errno === 0) calls['fd_close']!(guest.u32());
      }
    }
  }
  done('readlink', calls['path_readlink']!(3, at, put(), AT.data, 500, AT.result));
  done('symlink at', calls['path_symlink']!(AT.path2, other, 3, at, put()));
  done('link to', calls['path_link']!(3, 0, AT.path, guest.put(AT.path, 'file'), 3, at, put()));
  done('create directory', calls['path_create_directory']!(3, at, put()));
  done('rename to', calls['path_rename']!(3, AT.path, guest.put(AT.path, 'dir'), 3, at, put()));
}

/** Those that take away what they find. */
function eachRemoval(path: string, done: (what: string, errno: number) => void): void {
  const length = guest.put(AT.path, path);
  const other = guest.put(AT.path2, 'moved');
  for (const follow of [0, 1]) {
    const errno = guest.calls['path_filestat_set_times']!(3, follow, AT.path, length, 5n, 5n, 5);
    done(`times ${follow}`, errno);
  }
  done('remove directory', guest.calls['path_remove_directory']!(3, AT.path, length));
  done('rename from', guest.calls['path_rename']!(3, AT.path, length, 3, AT.path2, other));
  done('unlink', guest.calls['path_unlink_file']!(3, AT.path, length));
}

test('what leads out is refused by every call, in every form', () => {
  const before = outsideNow();
  let refused = 0;
  for (const path of LEADING_OUT) {
    for (const ending of ENDINGS) {
      // A link itself is inside, and what is said of it is not what it leads to.
      const isName = ending === '' && !path.includes('..') && !path.startsWith('/');
      eachCall(path + ending, (what, errno) => {
        if (isName) return;
        expect({ path: path + ending, what, errno }).not.toMatchObject({ errno: 0 });
        refused += 1;
      });
      if (isName) continue;
      eachRemoval(path + ending, (what, errno) => {
        expect({ path: path + ending, what, errno }).not.toMatchObject({ errno: 0 });
        refused += 1;
      });
      expect(outsideNow(), path + ending).toEqual(before);
    }
  }
  const bytes = Buffer.from(guest.memory.bytes).toString('latin1');
  expect(bytes.includes(SECRET)).toBe(false);
  expect(guest.resources.handles.entries().map(([number]) => number)).toEqual([0, 1, 2, 3]);
  console.log(`${refused} calls refused`);
});

test('following a link that leads out is NOTCAPABLE', () => {
  for (const path of [
    'up',
    'upper',
    'abs',
    'abs-file',
    'root',
    'proc',
    'dev',
    'chain',
    'through',
    'dir/back',
  ]) {
    const length = guest.put(AT.path, path);
    const errno = guest.calls['path_filestat_get']!(3, 1, AT.path, length, AT.result);
    expect({ path, errno }).toEqual({ path, errno: ERRNO.NOTCAPABLE });
    for (const ending of ['/', '/.', '/secret']) {
      expect(guest.open(path + ending, { rights: RIGHT.FD_READ })).toBe(-ERRNO.NOTCAPABLE);
    }
  }
});

test('what is neither file nor directory is never opened, and nothing waits for it', () => {
  const seen = new Map<string, number>();
  for (const name of SPECIAL) {
    for (const ending of ['', '/', '/.', '/x']) {
      eachCall(name + ending, (what, errno) => {
        seen.set(`${name}${ending}: ${what}`, errno);
        // What the calls themselves made is taken away again.
        if (
          errno === 0 &&
          ['link to', 'symlink at', 'create directory', 'rename to'].includes(what)
        ) {
          throw new Error(`${what} ${name}${ending} succeeded`);
        }
      });
      if (name === 'dangling') rmSync(inside('nothing'), { recursive: true, force: true });
    }
  }
  const opened = [...seen].filter(([what, errno]) => errno === 0 && what.includes(': open'));
  // Through a dangling link a file is made where it leads to, if the link is followed and one may be made.
  expect(opened.every(([what]) => /^dangling: open 1/.test(what))).toBe(true);
  expect(opened.length).toBeGreaterThan(0);
  expect(lstatSync(inside('fifo')).isFIFO()).toBe(true);
  console.log(`${seen.size} calls, ${opened.length} of them made a file`);
});

test('names that are no names, and paths that are too long', () => {
  for (const path of NO_NAMES) {
    eachCall(path, (what, errno) => {
      expect({ what, errno }).not.toMatchObject({ errno: 0 });
      expect([ERRNO.NOENT, ERRNO.INVAL, ERRNO.NAMETOOLONG]).toContain(errno);
    });
  }
  // Not UTF-8: cut off, too long, a surrogate, a byte that never comes.
  for (const bytes of [[0xff], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x61, 0x80]]) {
    guest.put(AT.path, Uint8Array.from(bytes));
    const errno = guest.calls['path_create_directory']!(3, AT.path, bytes.length);
    expect(errno).toBe(ERRNO.ILSEQ);
  }
});

test('a directory that was opened and moved out of the grant leads to nothing above it', () => {
  const dir = guest.open('dir', { oflags: 2 });
  renameSync(inside('dir'), join(outside, 'dir'));
  const before = outsideNow();
  for (const path of [
    '..',
    '../secret',
    'nested/../../secret',
    './../deep',
    'back',
    'back/secret',
  ]) {
    const length = guest.put(AT.path, path);
    expect(guest.open(path, { fd: dir, rights: RIGHT.FD_READ, follow: true })).toBeLessThan(0);
    expect(guest.calls['path_filestat_get']!(dir, 1, AT.path, length, AT.result)).not.toBe(0);
    expect(guest.calls['path_create_directory']!(dir, AT.path, length)).not.toBe(0);
  }
  expect(outsideNow()).toEqual(before);
});

test('a hard link made by the guest is to what is inside, whatever it follows', () => {
  const names = ['abs-file', 'chain/secret', 'up', 'dir/back/secret', 'proc-fd', 'dev'];
  for (const [index, name] of names.entries()) {
    for (const follow of [0, 1]) {
      const length = guest.put(AT.path, name);
      const made = `made-${index}-${follow}`;
      const other = guest.put(AT.path2, made);
      const errno = guest.calls['path_link']!(3, follow, AT.path, length, 3, AT.path2, other);
      // Without following, the link itself gets a second name.
      if (errno === 0) expect(lstatSync(inside(made)).isSymbolicLink(), name).toBe(true);
    }
  }
  expect(statSync(join(outside, 'secret')).nlink).toBe(1);
  // One that somebody else made is inside: its contents are what the grant holds.
  linkSync(join(outside, 'secret'), inside('hard'));
  expect(guest.read(guest.open('hard', { rights: RIGHT.FD_READ }), 100)).toBe(SECRET);
});

test('no call changes anything below a directory that is read-only', () => {
  guest.resources.close();
  guest = startGuest(host, {
    preopens: [{ hostPath: host.dir, guestPath: '/', readOnly: true }],
  });
  const before = below(host.dir);
  let calls = 0;
  for (const path of ['file', 'dir', 'dir/nested', 'new', 'dir/new', 'dangling', 'fifo', 'up']) {
    eachCall(path, (what, errno) => {
      calls += 1;
      const isLook = what.startsWith('filestat') || what === 'readlink' || what.startsWith('open');
      if (!isLook) expect({ path, what, errno }).not.toMatchObject({ errno: 0 });
    });
    eachRemoval(path, (what, errno) => {
      calls += 1;
      expect({ path, what, errno }).not.toMatchObject({ errno: 0 });
    });
  }
  expect(below(host.dir)).toEqual(before);
  console.log(`${calls} calls`);
});
