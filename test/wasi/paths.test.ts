import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { FSTFLAGS, OFLAGS } from '../../src/abi/flags.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  readdir,
  removeHost,
  startGuest,
} from './harness.ts';
import { openBelow } from './open-below.ts';

let host: Host;
let guest: Guest;
/** Paths are below `in`, which is granted; `out` lies beside it. */
const onHost = (name: string) => join(host.dir, name);

beforeEach(() => {
  host = createHost();
  mkdirSync(onHost('in/dir/nested'), { recursive: true });
  mkdirSync(onHost('out'));
  writeFileSync(onHost('out/secret'), 'secret');
  writeFileSync(onHost('in/dir/nested/file'), 'file');
  guest = startGuest(host, {
    preopens: [{ hostPath: onHost('in'), guestPath: '/', readOnly: false }],
  });
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
});

const read = { rights: RIGHT.FD_READ };
const two = (name: string, from: string, to: string, ...flags: number[]) =>
  guest.calls[name]!(
    3,
    ...flags,
    AT.path,
    guest.put(AT.path, from),
    3,
    AT.path2,
    guest.put(AT.path2, to),
  );
const symlink = (target: string, path: string) =>
  guest.calls['path_symlink']!(
    AT.path,
    guest.put(AT.path, target),
    3,
    AT.path2,
    guest.put(AT.path2, path),
  );
const filestat = (path: string, follow = false) =>
  guest.calls['path_filestat_get']!(
    3,
    follow ? 1 : 0,
    AT.path,
    guest.put(AT.path, path),
    AT.result,
  );

describe('paths that stay inside', () => {
  test('dots, repeated and trailing slashes', () => {
    const path = 'dir/.//nested/../../dir/nested/../nested///./file';
    expect(guest.read(guest.open(path, read), 9)).toBe('file');
    expect(guest.open('dir/nested/file/', read)).toBe(-ERRNO.NOTDIR);
    expect(guest.open('dir/nested/file/.', read)).toBe(-ERRNO.NOTDIR);
    expect(guest.open('dir/nested/file/..', read)).toBe(-ERRNO.NOTDIR);
    expect(guest.open('dir/nested///', read)).toBeGreaterThan(0);
    expect(guest.open('.', read)).toBeGreaterThan(0);
    expect(guest.open('dir/..', read)).toBeGreaterThan(0);
    expect(guest.open('missing/../dir', read)).toBe(-ERRNO.NOENT);
    expect(guest.open('dir', { rights: RIGHT.FD_WRITE })).toBe(-ERRNO.ISDIR);
    expect(guest.open('new/', { oflags: OFLAGS.CREAT })).toBe(-ERRNO.ISDIR);
    expect(guest.open('dir/nested/file', { oflags: OFLAGS.DIRECTORY })).toBe(-ERRNO.NOTDIR);
    expect(guest.open('x', { oflags: OFLAGS.DIRECTORY | OFLAGS.CREAT })).toBe(-ERRNO.INVAL);
  });

  test('what is no path', () => {
    expect(guest.open('')).toBe(-ERRNO.NOENT);
    expect(guest.open('dir\0')).toBe(-ERRNO.INVAL);
    expect(guest.open('a'.repeat(4096))).toBe(-ERRNO.NAMETOOLONG);
    expect(guest.open('a'.repeat(300))).toBe(-ERRNO.NAMETOOLONG);
    expect(guest.open('d/'.repeat(2047))).toBe(-ERRNO.NOENT);
    guest.put(AT.path, Uint8Array.of(0x61, 0xff));
    expect(guest.calls['path_unlink_file']!(3, AT.path, 2)).toBe(ERRNO.ILSEQ);
  });

  test('a name that starts with a byte order mark is that name', () => {
    expect(guest.open('\ufeffa', { oflags: OFLAGS.CREAT })).toBeGreaterThan(0);
    expect(existsSync(onHost('in/\ufeffa'))).toBe(true);
  });

  test('CREAT and EXCL', () => {
    expect(guest.open('n', { oflags: OFLAGS.CREAT | OFLAGS.EXCL })).toBeGreaterThan(0);
    expect(guest.open('n', { oflags: OFLAGS.CREAT | OFLAGS.EXCL })).toBe(-ERRNO.EXIST);
    expect(guest.open('n', { oflags: OFLAGS.CREAT })).toBeGreaterThan(0);
  });

  test('very deep directories', () => {
    let path = '.';
    for (let depth = 0; depth < 300; depth++) path += '/d';
    mkdirSync(onHost(`in/${path}`), { recursive: true });
    expect(guest.open(`${path}/f`, { oflags: OFLAGS.CREAT })).toBeGreaterThan(0);
    expect(guest.open(`${path}/${'../'.repeat(300)}dir/nested/file`, read)).toBeGreaterThan(0);
  });
});

describe('paths that would lead out', () => {
  test.each([
    '..',
    '../out/secret',
    'dir/../../out/secret',
    '/etc/passwd',
    '/',
    'dir/nested/../../..',
  ])('%s is NOTCAPABLE', (path) => {
    expect(guest.open(path, read)).toBe(-ERRNO.NOTCAPABLE);
    expect(filestat(path)).toBe(ERRNO.NOTCAPABLE);
    expect(guest.onPath('path_create_directory', path)).toBe(ERRNO.NOTCAPABLE);
    expect(guest.onPath('path_unlink_file', path)).toBe(ERRNO.NOTCAPABLE);
    expect(two('path_rename', 'dir/nested/file', path)).toBe(ERRNO.NOTCAPABLE);
    expect(two('path_link', path, 'stolen', 0)).toBe(ERRNO.NOTCAPABLE);
  });

  test('links that lead out, in every place of a path', () => {
    symlinkSync('../out', onHost('in/up'));
    symlinkSync(onHost('out'), onHost('in/abs'));
    symlinkSync('../../../out/secret', onHost('in/dir/nested/deep'));
    symlinkSync('dir/nested', onHost('in/fine'));
    for (const path of [
      'up/secret',
      'abs/secret',
      'up/',
      'dir/nested/deep',
      'fine/deep',
      'fine/../../up/secret',
    ]) {
      expect([path, guest.open(path, { ...read, follow: true })]).toEqual([
        path,
        -ERRNO.NOTCAPABLE,
      ]);
    }
    expect(filestat('up', true)).toBe(ERRNO.NOTCAPABLE);
    expect(guest.open('up/new', { oflags: OFLAGS.CREAT })).toBe(-ERRNO.NOTCAPABLE);
    expect(existsSync(onHost('out/new'))).toBe(false);
    expect(two('path_rename', 'dir/nested/file', 'up/file')).toBe(ERRNO.NOTCAPABLE);
    expect(two('path_link', 'dir/nested/deep', 'got', 1)).toBe(ERRNO.NOTCAPABLE);
    // A link may lead out and back by name; the walk doesn't go that way.
    symlinkSync('../in/dir', onHost('in/around'));
    expect(guest.open('around/nested/file', read)).toBe(-ERRNO.NOTCAPABLE);
  });

  test('creating through a dangling link stays inside', () => {
    symlinkSync('../out/made', onHost('in/dangling'));
    symlinkSync('dir/made', onHost('in/inside'));
    expect(guest.open('dangling', { oflags: OFLAGS.CREAT, follow: true })).toBe(-ERRNO.NOTCAPABLE);
    expect(guest.open('dangling', { oflags: OFLAGS.CREAT })).toBe(-ERRNO.LOOP);
    expect(guest.open('inside', { oflags: OFLAGS.CREAT, follow: true })).toBeGreaterThan(0);
    expect(existsSync(onHost('in/dir/made'))).toBe(true);
    const exclusive = OFLAGS.CREAT | OFLAGS.EXCL;
    expect(guest.open('inside', { oflags: exclusive, follow: true })).toBe(-ERRNO.EXIST);
    expect(existsSync(onHost('out/made'))).toBe(false);
  });

  test('a directory moved out of the grant leads no further', () => {
    const fd = guest.open('dir/nested', read);
    renameSync(onHost('in/dir/nested'), onHost('out/nested'));
    expect(guest.open('file', { fd, ...read })).toBeGreaterThan(0);
    expect(guest.open('../secret', { fd, ...read })).toBe(-ERRNO.NOTCAPABLE);
  });

  test('a racing swapper of a directory and a link never shows what is outside', () => {
    symlinkSync('../out', onHost('in/evil'));
    mkdirSync(onHost('in/good'));
    writeFileSync(onHost('in/good/secret'), 'public');
    const script = `const { renameSync } = require('node:fs');
      const end = Date.now() + 1500;
      while (Date.now() < end) {
        renameSync('now', 'old'); renameSync('evil', 'now');
        renameSync('now', 'evil'); renameSync('old', 'now');
      }`;
    renameSync(onHost('in/good'), onHost('in/now'));
    const done = join(host.dir, 'done');
    execFileSync(
      'sh',
      ['-c', '("$0" -e "$1"; echo > "$2") >/dev/null 2>&1 &', process.execPath, script, done],
      {
        cwd: onHost('in'),
      },
    );
    const seen = new Set<string | number>();
    while (!existsSync(done)) {
      const fd = guest.open('now/secret', read);
      if (fd < 0) seen.add(fd);
      else {
        seen.add(guest.read(fd, 100));
        guest.calls['fd_close']!(fd);
      }
    }
    expect(seen).toContain('public');
    expect(seen).not.toContain('secret');
  });
});

describe('links', () => {
  test('followed inside, LOOP when not to be followed or without end', () => {
    symlinkSync('dir/nested/file', onHost('in/link'));
    symlinkSync('dir', onHost('in/dirlink'));
    symlinkSync('loop', onHost('in/loop'));
    symlinkSync('missing', onHost('in/missing-link'));
    expect(guest.open('link', read)).toBe(-ERRNO.LOOP);
    expect(guest.read(guest.open('link', { ...read, follow: true }), 9)).toBe('file');
    expect(guest.open('dirlink/nested/file', read)).toBeGreaterThan(0);
    expect(guest.open('dirlink/', read)).toBeGreaterThan(0);
    expect([ERRNO.LOOP, ERRNO.NOTDIR]).toContain(
      -guest.open('dirlink', { oflags: OFLAGS.DIRECTORY }),
    );
    const asDirectory = { oflags: OFLAGS.DIRECTORY, follow: true };
    expect(guest.open('dirlink', asDirectory)).toBeGreaterThan(0);
    expect(guest.open('link', asDirectory)).toBe(-ERRNO.NOTDIR);
    expect(guest.open('loop', { ...read, follow: true })).toBe(-ERRNO.LOOP);
    expect(guest.open('loop/x', read)).toBe(-ERRNO.LOOP);
    expect(guest.open('missing-link', { ...read, follow: true })).toBe(-ERRNO.NOENT);
    expect(filestat('link')).toBe(0);
    expect(guest.memory.bytes[AT.result + 16]).toBe(7);
    expect(filestat('link', true)).toBe(0);
    expect(guest.memory.bytes[AT.result + 16]).toBe(4);
    expect(filestat('link/')).toBe(ERRNO.NOTDIR);
    expect(filestat('dirlink/')).toBe(0);
    expect(filestat('missing-link', true)).toBe(ERRNO.NOENT);
  });

  test('a chain of 40 links is followed, one of 41 is not', () => {
    writeFileSync(onHost('in/l0'), 'end');
    for (let n = 1; n <= 41; n++) symlinkSync(`l${n - 1}`, onHost(`in/l${n}`));
    expect(guest.open('l40', { ...read, follow: true })).toBeGreaterThan(0);
    expect(guest.open('l41', { ...read, follow: true })).toBe(-ERRNO.LOOP);
  });

  test('made, read and cut to the buffer', () => {
    expect(symlink('dir/nested', 'made')).toBe(0);
    expect(readlinkSync(onHost('in/made'))).toBe('dir/nested');
    const length = guest.put(AT.path, 'made');
    const readlink = guest.calls['path_readlink']!;
    expect(readlink(3, AT.path, length, AT.data, 100, AT.result)).toBe(0);
    expect(guest.text(AT.data, guest.u32())).toBe('dir/nested');
    expect(readlink(3, AT.path, length, AT.data, 3, AT.result)).toBe(0);
    expect(guest.u32()).toBe(3);
    guest.put(AT.path, 'dir');
    expect(readlink(3, AT.path, 3, AT.data, 9, AT.result)).toBe(ERRNO.INVAL);
    expect(symlink('/etc/passwd', 'evil')).toBe(ERRNO.NOTCAPABLE);
    expect(symlink('x', 'gone/')).toBe(ERRNO.NOENT);
    expect(symlink('x', 'dir/')).toBe(ERRNO.EXIST);
    expect(symlink('x', 'dir')).toBe(ERRNO.EXIST);
    expect(symlink('x', 'dir/nested/file/')).toBe(ERRNO.NOTDIR);
    expect(symlink('', 'empty')).toBe(ERRNO.NOENT);
  });

  test('times of a link are its own', () => {
    symlinkSync('dir/nested/file', onHost('in/link'));
    const before = statSync(onHost('in/link'), { bigint: true }).mtimeNs;
    const set = guest.calls['path_filestat_set_times']!;
    const length = guest.put(AT.path, 'link');
    expect(set(3, 0, AT.path, length, 0n, 1_000_000_007n, FSTFLAGS.MTIM)).toBe(0);
    expect(lstatSync(onHost('in/link'), { bigint: true }).mtimeNs).toBe(1_000_000_007n);
    expect(statSync(onHost('in/link'), { bigint: true }).mtimeNs).toBe(before);
    expect(set(3, 1, AT.path, length, 0n, 2_000_000_009n, FSTFLAGS.MTIM)).toBe(0);
    expect(statSync(onHost('in/link'), { bigint: true }).mtimeNs).toBe(2_000_000_009n);
  });
});

describe('names', () => {
  test('directories are made and removed', () => {
    expect(guest.onPath('path_create_directory', 'new/')).toBe(0);
    expect(guest.onPath('path_create_directory', 'new')).toBe(ERRNO.EXIST);
    expect(guest.onPath('path_create_directory', '.')).toBe(ERRNO.EXIST);
    expect(guest.onPath('path_remove_directory', 'dir')).toBe(ERRNO.NOTEMPTY);
    expect(guest.onPath('path_remove_directory', 'dir/nested/file')).toBe(ERRNO.NOTDIR);
    expect(guest.onPath('path_remove_directory', '.')).toBe(ERRNO.INVAL);
    expect(guest.onPath('path_remove_directory', 'new/')).toBe(0);
    expect(guest.onPath('path_remove_directory', 'new')).toBe(ERRNO.NOENT);
  });

  test('files are unlinked, directories are not', () => {
    expect(guest.onPath('path_unlink_file', 'dir')).toBe(ERRNO.ISDIR);
    expect(guest.onPath('path_unlink_file', 'dir/')).toBe(ERRNO.ISDIR);
    expect(guest.onPath('path_unlink_file', 'dir/nested/file/')).toBe(ERRNO.NOTDIR);
    expect(guest.onPath('path_unlink_file', 'dir/nested/file')).toBe(0);
    expect(guest.onPath('path_unlink_file', 'dir/nested/file')).toBe(ERRNO.NOENT);
  });

  test('renaming, with and without trailing slashes', () => {
    expect(two('path_rename', 'dir/', 'moved')).toBe(0);
    expect(two('path_rename', 'moved', 'dir/')).toBe(0);
    expect(two('path_rename', 'dir/nested/file/', 'x')).toBe(ERRNO.NOTDIR);
    expect(two('path_rename', 'dir/nested/file', 'x/')).toBe(ERRNO.NOTDIR);
    mkdirSync(onHost('in/empty'));
    expect(two('path_rename', 'dir/nested/file', 'empty')).toBe(ERRNO.ISDIR);
    expect(two('path_rename', 'empty', 'dir')).toBe(ERRNO.NOTEMPTY);
    expect(two('path_rename', 'empty', 'dir/nested/file')).toBe(ERRNO.NOTDIR);
    expect(two('path_rename', 'dir', 'empty')).toBe(0);
    expect(two('path_rename', '.', 'y')).toBe(ERRNO.BUSY);
    expect(existsSync(onHost('in/empty/nested/file'))).toBe(true);
  });

  test('hard links', () => {
    expect(two('path_link', 'dir/nested/file', 'link', 0)).toBe(0);
    expect(statSync(onHost('in/link')).nlink).toBe(2);
    expect(two('path_link', 'dir/nested/file', 'link', 0)).toBe(ERRNO.EXIST);
    expect(two('path_link', 'dir', 'dirlink', 0)).toBe(ERRNO.PERM);
    expect(two('path_link', 'dir/nested/file', 'other/', 0)).toBe(ERRNO.NOENT);
    symlinkSync('gone', onHost('in/sym'));
    expect(two('path_link', 'sym', 'sym2', 0)).toBe(0);
    expect(readlinkSync(onHost('in/sym2'))).toBe('gone');
    expect(two('path_link', 'sym', 'sym3', 1)).toBe(ERRNO.NOENT);
    expect(two('path_link', 'dir/nested/file', 'sym', 0)).toBe(ERRNO.EXIST);
  });

  test('a hard link that is there already is inside, whatever else it is called', () => {
    linkSync(onHost('out/secret'), onHost('in/hard'));
    expect(guest.read(guest.open('hard', read), 10)).toBe('secret');
  });
});

describe('what is neither file nor directory', () => {
  test('pipes and devices are refused and never block', () => {
    execFileSync('mkfifo', [onHost('in/pipe')]);
    expect(guest.open('pipe', read)).toBe(-ERRNO.NXIO);
    expect(guest.open('pipe', { rights: RIGHT.FD_WRITE })).toBe(-ERRNO.NXIO);
    expect(guest.open('pipe', { rights: RIGHT.FD_READ | RIGHT.FD_WRITE })).toBe(-ERRNO.NXIO);
    const devices = startGuest(host, {
      preopens: [{ hostPath: '/dev', guestPath: '/dev', readOnly: false }],
    });
    expect(devices.open('null', read)).toBe(-ERRNO.NXIO);
    devices.resources.close();
  });
});

describe('listing', () => {
  test('every entry once, in buffers of any size, with inodes and types', () => {
    for (let n = 0; n < 100; n++) writeFileSync(onHost(`in/f${n}`), '');
    symlinkSync('x', onHost('in/s'));
    const fd = guest.open('.', read);
    for (const size of [24 + 5, 100, 256, 4096, 65_536]) {
      const names: string[] = [];
      let cookie = 0n;
      for (;;) {
        const { entries, end } = readdir(guest, fd, cookie, size);
        names.push(...entries.map((entry) => entry.name));
        if (end) break;
        cookie = entries.at(-1)!.next;
      }
      expect(names.length).toBe(104);
      expect(new Set(names).size).toBe(104);
      expect(names.slice(0, 2)).toEqual(['.', '..']);
    }
    const { entries } = readdir(guest, fd, 0n, 65_536);
    const of = (name: string) => entries.find((entry) => entry.name === name);
    const here = statSync(onHost('in'), { bigint: true }).ino;
    expect(of('.')).toMatchObject({ ino: here, type: 3 });
    expect(of('..')).toMatchObject({ ino: here, type: 3 });
    expect(of('f7')).toMatchObject({
      ino: statSync(onHost('in/f7'), { bigint: true }).ino,
      type: 4,
    });
    expect(of('s')?.type).toBe(7);
    expect(of('dir')?.type).toBe(3);
  });

  test('cookies hold while entries come and go', () => {
    for (let n = 0; n < 20; n++) writeFileSync(onHost(`in/dir/f${n}`), '');
    const fd = guest.open('dir', read);
    const all = readdir(guest, fd, 0n, 8192).entries.map((entry) => entry.name);
    const first = readdir(guest, fd, 0n, 200);
    const rest = all.slice(first.entries.length);
    const gone = rest.find((name) => name.startsWith('f'))!;
    expect(guest.onPath('path_unlink_file', `dir/${gone}`)).toBe(0);
    writeFileSync(onHost('in/dir/late'), '');
    const next = readdir(guest, fd, first.entries.at(-1)!.next, 8192).entries;
    expect(next.map((entry) => entry.name)).toEqual(rest.filter((name) => name !== gone));
    expect(readdir(guest, fd, 0n, 8192).entries.map((entry) => entry.name)).toContain('late');
    expect(readdir(guest, fd, 2n ** 64n - 1n, 100).entries).toEqual([]);
  });

  test('a directory that rests is not looked up entry by entry, and still told truly', () => {
    for (let index = 0; index < 500; index++) writeFileSync(onHost(`in/dir/entry-${index}`), '');
    symlinkSync('entry-1', onHost('in/dir/link'));
    const fd = guest.open('dir', read);
    const told = (entries: readonly { name: string; ino: bigint; type: number }[]) =>
      entries.map(({ name, ino, type }) => `${name} ${ino} ${type}`);
    const list = () => {
      const first = readdir(guest, fd, 0n, 300).entries;
      return [...first, ...readdir(guest, fd, first.at(-1)!.next, 60_000).entries];
    };
    // The clock of the test stands long before the directory was made: everything is looked up.
    const lookedUp = told(list());
    expect(lookedUp.length).toBe(504);
    host.clock.realtimeNs = BigInt(Date.now() + 60_000) * 1_000_000n;
    expect(told(list())).toEqual(lookedUp);
    const listing = guest.resources.handles.get(fd)!;
    const kept = listing.kind === 'directory' ? listing.listing?.found?.inodes.length : null;
    expect(kept).toBe(process.platform === 'linux' ? 502 : undefined);
    // Once it changes, what was kept no longer counts.
    const first = readdir(guest, fd, 0n, 300).entries;
    const gone = lookedUp.at(-1)!.split(' ')[0]!;
    unlinkSync(onHost(`in/dir/${gone}`));
    writeFileSync(onHost('in/dir/other'), '');
    renameSync(onHost('in/dir/other'), onHost('in/dir/entry-1'));
    const rest = readdir(guest, fd, first.at(-1)!.next, 60_000).entries;
    const all = new Map([...first, ...rest].map(({ name, ino }) => [name, ino]));
    expect(all.has(gone)).toBe(gone === 'entry-1');
    expect(all.get('entry-1')).toBe(statSync(onHost('in/dir/entry-1'), { bigint: true }).ino);
  });

  test('names that are no UTF-8 are listed as they are', () => {
    const name = Buffer.from([0x61, 0xff, 0x62]);
    writeFileSync(Buffer.concat([Buffer.from(onHost('in/dir/')), name]), '');
    const fd = guest.open('dir', read);
    expect(guest.calls['fd_readdir']!(fd, AT.data, 4096, 0n, AT.result)).toBe(0);
    const used = guest.memory.bytes.slice(AT.data, AT.data + guest.u32());
    expect(Buffer.from(used).includes(name)).toBe(true);
  });
});

test('nothing stays open on the host', () => {
  const before = openBelow(host.dir);
  expect(before.length).toBeGreaterThan(0);
  symlinkSync('dir/nested', onHost('in/a'));
  for (const path of ['a/file', 'a/../nope', 'dir/nested/../../..', 'a/', 'dir/nested/file/x']) {
    const fd = guest.open(path, { ...read, follow: true });
    if (fd >= 0) guest.calls['fd_close']!(fd);
    filestat(path, true);
    guest.onPath('path_unlink_file', `${path}x`);
  }
  expect(openBelow(host.dir)).toEqual(before);
});
