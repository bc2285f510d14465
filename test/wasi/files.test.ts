import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { FDFLAGS, FSTFLAGS, OFLAGS } from '../../src/abi/flags.ts';
import { RIGHT, RIGHTS_ALL } from '../../src/abi/rights.ts';
import { PREVIEW1 } from '../../src/abi/snapshot.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  iovecs,
  removeHost,
  startGuest,
} from './harness.ts';

const WHENCE = PREVIEW1.whence;
let host: Host;
let guest: Guest;
const onHost = (name: string) => join(host.dir, name);
const seek = (fd: number, offset: bigint, whence: number = WHENCE.SET) =>
  guest.calls['fd_seek']!(fd, offset, whence, AT.result);

beforeEach(() => {
  host = createHost();
  guest = startGuest(host);
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
});

describe('reading and writing', () => {
  test('what is written is read, and offsets follow', () => {
    const fd = guest.open('a', { oflags: OFLAGS.CREAT });
    expect(fd).toBe(4);
    expect(guest.write(fd, 'hello world')).toBe(11);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('hello world');
    expect(guest.read(fd, 5)).toBe('');
    expect(seek(fd, 6n)).toBe(ERRNO.SUCCESS);
    expect(guest.read(fd, 100)).toBe('world');
    expect(guest.calls['fd_tell']!(fd, AT.result)).toBe(ERRNO.SUCCESS);
    expect(guest.u64()).toBe(11n);
    expect(seek(fd, -3n, WHENCE.END)).toBe(ERRNO.SUCCESS);
    expect(guest.u64()).toBe(8n);
    expect(seek(fd, -9n, WHENCE.CUR)).toBe(ERRNO.INVAL);
    expect(seek(fd, 0n, 3)).toBe(ERRNO.INVAL);
    expect(seek(fd, 2n ** 62n)).toBe(ERRNO.INVAL);
  });

  test('several iovecs, small and large, in order', () => {
    const fd = guest.open('a', { oflags: OFLAGS.CREAT });
    guest.put(AT.data, 'abcdef');
    iovecs(guest, [
      [AT.data + 3, 3],
      [AT.data, 0],
      [AT.data, 3],
    ]);
    expect(guest.calls['fd_write']!(fd, AT.iovecs, 3, AT.result)).toBe(0);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('defabc');
    // More than is gathered into one write.
    guest.memory.bytes.fill(0x78, 0x20000, 0x40000);
    iovecs(guest, [
      [0x20000, 0x10001],
      [0x20000, 0x8000],
    ]);
    expect(guest.calls['fd_pwrite']!(fd, AT.iovecs, 2, 6n, AT.result)).toBe(0);
    expect(guest.u32()).toBe(0x18001);
    expect(statSync(onHost('a')).size).toBe(6 + 0x18001);
    iovecs(guest, [
      [AT.data, 2],
      [AT.data + 16, 100],
    ]);
    expect(guest.calls['fd_pread']!(fd, AT.iovecs, 2, 1n, AT.result)).toBe(0);
    expect(guest.u32()).toBe(102);
    expect(guest.text(AT.data, 2)).toBe('ef');
    expect(guest.text(AT.data + 16, 4)).toBe('abcx');
    expect(guest.calls['fd_tell']!(fd, AT.result)).toBe(0);
    expect(guest.u64()).toBe(6n);
  });

  test('APPEND writes at the end, fd_pwrite does not, and the flag can be taken away', () => {
    writeFileSync(onHost('log'), 'one');
    const fd = guest.open('log', { flags: FDFLAGS.APPEND });
    expect(guest.write(fd, 'two')).toBe(3);
    writeFileSync(onHost('log'), 'X', { flag: 'a' });
    expect(guest.write(fd, '3')).toBe(1);
    expect(readFileSync(onHost('log'), 'utf8')).toBe('onetwoX3');
    guest.put(AT.data, 'O');
    iovecs(guest, [[AT.data, 1]]);
    expect(guest.calls['fd_pwrite']!(fd, AT.iovecs, 1, 0n, AT.result)).toBe(0);
    expect(readFileSync(onHost('log'), 'utf8')).toBe('OnetwoX3');
    expect(guest.calls['fd_fdstat_set_flags']!(fd, 0)).toBe(0);
    expect(seek(fd, 1n)).toBe(0);
    expect(guest.write(fd, 'N')).toBe(1);
    expect(readFileSync(onHost('log'), 'utf8')).toBe('ONetwoX3');
    expect(guest.calls['fd_fdstat_set_flags']!(fd, 64)).toBe(ERRNO.INVAL);
  });

  test('a file open for one thing does not do the other', () => {
    writeFileSync(onHost('a'), 'x');
    const reader = guest.open('a', { rights: RIGHT.FD_READ });
    const writer = guest.open('a', { rights: RIGHT.FD_WRITE });
    const neither = guest.open('a', { rights: 0 });
    expect(guest.write(reader, 'y')).toBe(-ERRNO.BADF);
    expect(guest.read(writer, 1)).toBe(-ERRNO.BADF);
    expect(guest.read(neither, 1)).toBe(-ERRNO.BADF);
    expect(guest.calls['fd_filestat_set_size']!(reader, 0n)).toBe(ERRNO.NOTCAPABLE);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('x');
  });

  test('who may write may also set the size and make room, until that is given up', () => {
    writeFileSync(onHost('a'), 'hello');
    const writer = guest.open('a', { rights: RIGHT.FD_WRITE });
    expect(guest.calls['fd_filestat_set_size']!(writer, 3n)).toBe(0);
    expect(guest.calls['fd_allocate']!(writer, 0n, 10n)).toBe(0);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('hel\0\0\0\0\0\0\0');
    expect(guest.calls['fd_fdstat_set_rights']!(writer, BigInt(RIGHT.FD_WRITE), 0n)).toBe(0);
    expect(guest.calls['fd_filestat_set_size']!(writer, 0n)).toBe(ERRNO.NOTCAPABLE);
    expect(guest.calls['fd_allocate']!(writer, 0n, 20n)).toBe(ERRNO.NOTCAPABLE);
  });

  test('rights can be given up and not taken back', () => {
    const fd = guest.open('a', { oflags: OFLAGS.CREAT });
    guest.calls['fd_fdstat_get']!(fd, AT.result);
    const rights = guest.u64(AT.result + 8);
    const without = rights & ~BigInt(RIGHT.FD_SEEK | RIGHT.FD_WRITE);
    expect(guest.calls['fd_fdstat_set_rights']!(fd, without, 0n)).toBe(0);
    expect(seek(fd, 0n)).toBe(ERRNO.NOTCAPABLE);
    expect(guest.write(fd, 'x')).toBe(-ERRNO.BADF);
    expect(guest.calls['fd_fdstat_set_rights']!(fd, rights, 0n)).toBe(ERRNO.NOTCAPABLE);
    expect(guest.calls['fd_fdstat_set_rights']!(fd, -1n, 0n)).toBe(ERRNO.NOTCAPABLE);
  });

  test('a directory passes on only what it still has', () => {
    const open = guest.open('.', { oflags: OFLAGS.DIRECTORY });
    writeFileSync(onHost('f'), 'abc');
    guest.calls['fd_fdstat_get']!(open, AT.result);
    const rights = guest.u64(AT.result + 8);
    const inheriting = guest.u64(AT.result + 16);
    const base = rights & ~BigInt(RIGHT.PATH_FILESTAT_SET_SIZE);
    const passed = inheriting & ~BigInt(RIGHT.FD_WRITE);
    expect(guest.calls['fd_fdstat_set_rights']!(open, base, passed)).toBe(0);
    expect(guest.open('f', { fd: open, oflags: OFLAGS.TRUNC, rights: 0 })).toBe(-ERRNO.NOTCAPABLE);
    expect(guest.open('f', { fd: open, rights: RIGHT.FD_WRITE })).toBe(-ERRNO.NOTCAPABLE);
    expect(guest.open('f', { fd: open, rights: RIGHT.FD_READ })).toBeGreaterThan(0);
    expect(readFileSync(onHost('f'), 'utf8')).toBe('abc');
  });
});

describe('sizes, times and durability', () => {
  test('size is set, allocated and told', () => {
    const fd = guest.open('a', { oflags: OFLAGS.CREAT });
    expect(guest.calls['fd_filestat_set_size']!(fd, 100n)).toBe(0);
    expect(guest.calls['fd_allocate']!(fd, 90n, 20n)).toBe(0);
    expect(guest.calls['fd_allocate']!(fd, 10n, 10n)).toBe(0);
    expect(statSync(onHost('a')).size).toBe(110);
    expect(guest.calls['fd_allocate']!(fd, 0n, 0n)).toBe(ERRNO.INVAL);
    expect(guest.calls['fd_allocate']!(fd, -1n, 4n)).toBe(ERRNO.INVAL);
    expect(guest.calls['fd_allocate']!(fd, 2n ** 62n, 2n ** 62n)).toBe(ERRNO.FBIG);
    expect(guest.calls['fd_filestat_set_size']!(fd, -1n)).toBe(ERRNO.INVAL);
    expect(guest.calls['fd_filestat_set_size']!(fd, 2n ** 62n)).toBe(ERRNO.FBIG);
    expect(guest.calls['fd_sync']!(fd)).toBe(0);
    expect(guest.calls['fd_datasync']!(fd)).toBe(0);
    expect(guest.calls['fd_sync']!(3)).toBe(0);
    expect(guest.calls['fd_sync']!(1)).toBe(ERRNO.INVAL);
    expect(guest.calls['fd_advise']!(fd, 0n, 0n, 5)).toBe(0);
    expect(guest.calls['fd_advise']!(fd, 0n, 0n, 6)).toBe(ERRNO.INVAL);
    expect(guest.calls['fd_advise']!(fd, -1n, 0n, 0)).toBe(ERRNO.INVAL);
  });

  test('times are set to the nanosecond, by descriptor and by path', () => {
    const fd = guest.open('a', { oflags: OFLAGS.CREAT });
    const set = FSTFLAGS.ATIM | FSTFLAGS.MTIM;
    const [atime, mtime] = [1_600_000_000_123_456_789n, 1_500_000_000_987_654_321n];
    expect(guest.calls['fd_filestat_set_times']!(fd, atime, mtime, set)).toBe(0);
    expect(guest.calls['fd_filestat_get']!(fd, AT.result)).toBe(0);
    expect(guest.u64(AT.result + 40)).toBe(atime);
    expect(guest.u64(AT.result + 48)).toBe(mtime);
    const length = guest.put(AT.path, 'a');
    const setByPath = guest.calls['path_filestat_set_times']!;
    expect(setByPath(3, 0, AT.path, length, 0n, mtime - 100n, FSTFLAGS.MTIM)).toBe(0);
    expect(guest.calls['path_filestat_get']!(3, 0, AT.path, length, AT.result)).toBe(0);
    expect(guest.u64(AT.result + 40)).toBe(atime);
    expect(guest.u64(AT.result + 48)).toBe(mtime - 100n);
    expect(setByPath(3, 0, AT.path, length, 0n, 0n, FSTFLAGS.MTIM | FSTFLAGS.MTIM_NOW)).toBe(
      ERRNO.INVAL,
    );
    expect(setByPath(3, 0, AT.path, length, 0n, 0n, 16)).toBe(ERRNO.INVAL);
    expect(guest.calls['fd_filestat_set_times']!(1, 0n, 0n, set)).toBe(ERRNO.BADF);
  });

  test('fd_filestat_get says what the host says', () => {
    const fd = guest.open('a', { oflags: OFLAGS.CREAT });
    guest.write(fd, 'four');
    const stats = statSync(onHost('a'), { bigint: true });
    expect(guest.calls['fd_filestat_get']!(fd, AT.result)).toBe(0);
    expect(guest.u64(AT.result)).toBe(stats.dev);
    expect(guest.u64(AT.result + 8)).toBe(stats.ino);
    expect(guest.memory.bytes[AT.result + 16]).toBe(4);
    expect(guest.u64(AT.result + 24)).toBe(1n);
    expect(guest.u64(AT.result + 32)).toBe(4n);
    expect(guest.u64(AT.result + 56)).toBe(stats.ctimeNs);
  });
});

describe('descriptors', () => {
  test('numbers are the lowest free, renumbering replaces', () => {
    const [a, b] = ['a', 'b'].map((name) => guest.open(name, { oflags: OFLAGS.CREAT }));
    expect([a, b]).toEqual([4, 5]);
    guest.write(4, 'in a');
    expect(guest.calls['fd_renumber']!(4, 5)).toBe(0);
    expect(guest.calls['fd_close']!(4)).toBe(ERRNO.BADF);
    expect(guest.write(5, '!')).toBe(1);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('in a!');
    expect(guest.calls['fd_renumber']!(5, 4)).toBe(ERRNO.BADF);
    expect(guest.calls['fd_renumber']!(5, 5)).toBe(0);
    expect(guest.open('c', { oflags: OFLAGS.CREAT })).toBe(4);
    expect(guest.calls['fd_close']!(0)).toBe(0);
    expect(guest.open('d', { oflags: OFLAGS.CREAT })).toBe(0);
  });

  test('the limit on handles is MFILE and nothing is created', () => {
    const small = startGuest(host, { handlesMax: 5 });
    expect(small.open('a', { oflags: OFLAGS.CREAT })).toBe(4);
    expect(small.open('b', { oflags: OFLAGS.CREAT })).toBe(-ERRNO.MFILE);
    expect(() => statSync(onHost('b'))).toThrow('ENOENT');
    small.resources.close();
  });

  test('directories refuse what files do', () => {
    for (const [name, ...args] of [
      ['fd_read', AT.iovecs, 0, AT.result],
      ['fd_write', AT.iovecs, 0, AT.result],
      ['fd_pread', AT.iovecs, 0, 0n, AT.result],
      ['fd_pwrite', AT.iovecs, 0, 0n, AT.result],
      ['fd_seek', 0n, 1, AT.result],
      ['fd_tell', AT.result],
      ['fd_allocate', 0n, 1n],
      ['fd_filestat_set_size', 0n],
    ] as const) {
      expect([name, guest.calls[name]!(3, ...args)]).toEqual([name, ERRNO.BADF]);
    }
    const file = guest.open('a', { oflags: OFLAGS.CREAT });
    expect(guest.open('x', { fd: file })).toBe(-ERRNO.NOTDIR);
    expect(guest.calls['fd_readdir']!(file, AT.data, 10, 0n, AT.result)).toBe(ERRNO.NOTDIR);
    expect(guest.calls['fd_seek']!(1, 0n, 0, AT.result)).toBe(ERRNO.SPIPE);
  });

  test('granted directories have names', () => {
    expect(guest.calls['fd_prestat_get']!(3, AT.result)).toBe(0);
    expect([guest.u32(), guest.u32(AT.result + 4)]).toEqual([0, 5]);
    expect(guest.calls['fd_prestat_dir_name']!(3, AT.data, 4)).toBe(ERRNO.NAMETOOLONG);
    expect(guest.calls['fd_prestat_dir_name']!(3, AT.data, 9)).toBe(0);
    expect(guest.text(AT.data, 5)).toBe('/data');
    expect(guest.calls['fd_prestat_get']!(1, AT.result)).toBe(ERRNO.BADF);
    expect(guest.calls['fd_prestat_get']!(guest.open('.'), AT.result)).toBe(ERRNO.BADF);
  });

  test('read-only directories are read-only for every call', () => {
    writeFileSync(onHost('a'), 'x');
    const reader = startGuest(host, {
      preopens: [
        { hostPath: host.dir, guestPath: '/ro', readOnly: true },
        { hostPath: host.dir, guestPath: '/rw', readOnly: false },
      ],
    });
    expect(reader.open('a', { rights: RIGHT.FD_WRITE })).toBe(-ERRNO.ROFS);
    expect(reader.open('a', { rights: 0, oflags: OFLAGS.TRUNC })).toBe(-ERRNO.ROFS);
    expect(reader.open('new', { rights: 0, oflags: OFLAGS.CREAT })).toBe(-ERRNO.ROFS);
    const fd = reader.open('a', { rights: RIGHTS_ALL & ~RIGHT.FD_WRITE });
    expect(reader.read(fd, 5)).toBe('x');
    expect(reader.calls['fd_filestat_set_size']!(fd, 0n)).toBe(ERRNO.NOTCAPABLE);
    expect(reader.calls['fd_allocate']!(fd, 0n, 10n)).toBe(ERRNO.NOTCAPABLE);
    expect(reader.calls['fd_filestat_set_times']!(fd, 0n, 0n, 5)).toBe(ERRNO.ROFS);
    for (const name of ['path_create_directory', 'path_remove_directory', 'path_unlink_file']) {
      expect([name, reader.onPath(name, 'a')]).toEqual([name, ERRNO.ROFS]);
    }
    const [old, fresh] = [reader.put(AT.path, 'a'), reader.put(AT.path2, 'b')];
    const { calls } = reader;
    expect(calls['path_rename']!(3, AT.path, old, 4, AT.path2, fresh)).toBe(ERRNO.ROFS);
    expect(calls['path_rename']!(4, AT.path, old, 3, AT.path2, fresh)).toBe(ERRNO.ROFS);
    // A name in the writable one would open the file for writing.
    expect(calls['path_link']!(3, 0, AT.path, old, 4, AT.path2, fresh)).toBe(ERRNO.ROFS);
    expect(calls['path_symlink']!(AT.path, old, 3, AT.path2, fresh)).toBe(ERRNO.ROFS);
    expect(calls['path_filestat_set_times']!(3, 0, AT.path, old, 0n, 0n, 5)).toBe(ERRNO.ROFS);
    const below = reader.open('.', { oflags: OFLAGS.DIRECTORY });
    expect(reader.onPath('path_create_directory', 'd', below)).toBe(ERRNO.ROFS);
    reader.resources.close();
  });
});
