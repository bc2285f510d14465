/**
 * Every pointer of every call, one at a time, where nothing may be read or written: over the end of memory by
 * one byte, at its end, and where pointer and length wrap. The call that is made with good pointers first must
 * succeed, so that nothing else is wrong with it.
 *
 * Holds: FAULT, and neither memory nor files are changed.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import { SIGNATURES } from '../../src/abi/signatures.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  iovecs,
  MEMORY_BYTES,
  removeHost,
  startGuest,
} from './harness.ts';

/** The granted directory, and a file and a directory that are open. */
const ROOT = 3;
const FILE = 4;
const DIRECTORY = 5;
const RIGHTS = BigInt(RIGHT.FD_READ | RIGHT.FD_WRITE);
/** Where pointers lead to of which a call has several. */
const OTHER = 0x6000;

/** A call that succeeds, and how many bytes are at each of its pointers, by the place of the argument. */
interface GoodCall {
  readonly name: string;
  readonly args: readonly (number | bigint)[];
  readonly pointers: Readonly<Record<number, number>>;
}

const good = (
  name: string,
  args: readonly (number | bigint)[],
  pointers: GoodCall['pointers'],
): GoodCall => ({ name, args, pointers });

/** At AT.path is `f`, at AT.path2 `n`, at AT.iovecs one iovec of 4 bytes. */
const CALLS: readonly GoodCall[] = [
  good('args_get', [AT.data, OTHER], { 0: 8, 1: 8 }),
  good('args_sizes_get', [AT.result, OTHER], { 0: 4, 1: 4 }),
  good('environ_get', [AT.data, OTHER], { 0: 4, 1: 4 }),
  good('environ_sizes_get', [AT.result, OTHER], { 0: 4, 1: 4 }),
  good('clock_res_get', [0, AT.result], { 1: 8 }),
  good('clock_time_get', [1, 0n, AT.result], { 2: 8 }),
  good('fd_fdstat_get', [FILE, AT.result], { 1: 24 }),
  good('fd_filestat_get', [FILE, AT.result], { 1: 64 }),
  good('fd_prestat_get', [ROOT, AT.result], { 1: 8 }),
  good('fd_prestat_dir_name', [ROOT, AT.data, 5], { 1: 5 }),
  good('fd_read', [FILE, AT.iovecs, 1, AT.result], { 1: 8, 3: 4 }),
  good('fd_pread', [FILE, AT.iovecs, 1, 0n, AT.result], { 1: 8, 4: 4 }),
  good('fd_write', [FILE, AT.iovecs, 1, AT.result], { 1: 8, 3: 4 }),
  good('fd_pwrite', [FILE, AT.iovecs, 1, 0n, AT.result], { 1: 8, 4: 4 }),
  good('fd_readdir', [DIRECTORY, AT.data, 100, 0n, AT.result], { 1: 100, 4: 4 }),
  good('fd_seek', [FILE, 1n, 0, AT.result], { 3: 8 }),
  good('fd_tell', [FILE, AT.result], { 1: 8 }),
  good('path_create_directory', [ROOT, AT.path2, 1], { 1: 1 }),
  good('path_filestat_get', [ROOT, 0, AT.path, 1, AT.result], { 2: 1, 4: 64 }),
  good('path_filestat_set_times', [ROOT, 0, AT.path, 1, 5n, 5n, 5], { 2: 1 }),
  good('path_link', [ROOT, 0, AT.path, 1, ROOT, AT.path2, 1], { 2: 1, 5: 1 }),
  good('path_open', [ROOT, 0, AT.path2, 1, 1, RIGHTS, 0n, 0, AT.result], { 2: 1, 8: 4 }),
  good('path_readlink', [ROOT, AT.path + 8, 1, AT.data, 4, AT.result], { 1: 1, 3: 4, 5: 4 }),
  good('path_remove_directory', [ROOT, AT.path + 16, 1], { 1: 1 }),
  good('path_rename', [ROOT, AT.path, 1, ROOT, AT.path2, 1], { 1: 1, 4: 1 }),
  good('path_symlink', [AT.path, 1, ROOT, AT.path2, 1], { 0: 1, 3: 1 }),
  good('path_unlink_file', [ROOT, AT.path, 1], { 1: 1 }),
  good('poll_oneoff', [AT.data, OTHER, 1, AT.result], { 0: 48, 1: 32, 3: 4 }),
  good('random_get', [AT.data, 16], { 0: 16 }),
];

/** Calls whose pointers matter only for a socket (sock.test.ts), and those that have none. */
const WITHOUT = [
  'fd_advise fd_allocate fd_close fd_datasync fd_fdstat_set_flags fd_fdstat_set_rights',
  'fd_filestat_set_size fd_filestat_set_times fd_renumber fd_sync proc_exit proc_raise sched_yield',
  'sock_accept sock_recv sock_send sock_shutdown',
].flatMap((line) => line.split(' '));

let host: Host;
let guest: Guest;

function begin(): void {
  host = createHost();
  mkdirSync(join(host.dir, 'd'));
  mkdirSync(join(host.dir, 'e'));
  writeFileSync(join(host.dir, 'f'), 'content');
  symlinkSync('f', join(host.dir, 'l'));
  guest = startGuest(host);
  expect(guest.open('f')).toBe(FILE);
  expect(guest.open('d', { oflags: 2 })).toBe(DIRECTORY);
  guest.put(AT.path, 'f');
  guest.put(AT.path + 8, 'l');
  guest.put(AT.path + 16, 'e');
  guest.put(AT.path2, 'n');
  iovecs(guest, [[AT.data + 0x1000, 4]]);
}

beforeEach(begin);

afterEach(() => {
  guest.resources.close();
  removeHost(host);
});

/** All that a call may have changed. */
function state(): string {
  const hash = createHash('sha256').update(guest.memory.bytes);
  for (const name of readdirSync(host.dir, { recursive: true }) as string[])
    hash.update(`${name}\n`);
  hash.update(readFileSync(join(host.dir, 'f')));
  return `${hash.digest('hex')} ${guest.resources.handles.entries().length}`;
}

const call = ({ name, args }: GoodCall): number => guest.calls[name]!(...args);

test('all 46 calls are looked at', () => {
  const named = [...CALLS.map(({ name }) => name), ...WITHOUT];
  expect(named.sort()).toEqual(Object.keys(SIGNATURES).sort());
});

test.each(CALLS)('$name', (one) => {
  expect(call(one), 'with good pointers').toBe(0);
  guest.resources.close();
  removeHost(host);
  begin();
  const before = state();
  let tried = 0;
  for (const [place, lengthBytes] of Object.entries(one.pointers)) {
    const bad = [MEMORY_BYTES - lengthBytes + 1, MEMORY_BYTES, -1, -lengthBytes, -0x8000_0000];
    for (const pointer of bad) {
      const args = one.args.with(Number(place), pointer);
      const errno = call({ ...one, args });
      expect({ args, errno }).toEqual({ args, errno: ERRNO.FAULT });
      tried += 1;
    }
  }
  expect(state()).toBe(before);
  console.log(`${one.name}: ${tried} bad pointers`);
});

test.each(['fd_read', 'fd_write', 'fd_pread', 'fd_pwrite'])('%s: a bad buffer', (name) => {
  const rest = name.startsWith('fd_p') ? [0n, AT.result] : [AT.result];
  for (const [pointer, length] of [
    [MEMORY_BYTES - 3, 4],
    [MEMORY_BYTES + 1, 0],
    [0xffff_fffc, 8],
    [0, 0xffff_ffff],
    [0x8000_0000, 0x8000_0000],
  ] as const) {
    iovecs(guest, [
      [AT.data, 4],
      [pointer, length],
    ]);
    const before = state();
    expect(guest.calls[name]!(FILE, AT.iovecs, 2, ...rest)).toBe(ERRNO.FAULT);
    expect(state()).toBe(before);
  }
});

test('results may lie over what is read, and over each other', () => {
  // The size is written over the iovec, and both sizes of the arguments in one place.
  expect(guest.calls['fd_read']!(FILE, AT.iovecs, 1, AT.iovecs)).toBe(0);
  expect(guest.u32(AT.iovecs)).toBe(4);
  expect(guest.calls['args_sizes_get']!(AT.result, AT.result)).toBe(0);
  expect(guest.calls['args_get']!(AT.result, AT.result)).toBe(0);
  expect(guest.calls['path_readlink']!(ROOT, AT.path + 8, 1, AT.path, 4, AT.path)).toBe(0);
  // A subscription for a file that is ready, whose event is written over it.
  guest.memory.bytes.fill(0, OTHER, OTHER + 48);
  guest.memory.bytes[OTHER + 8] = 1;
  guest.memory.bytes[OTHER + 16] = FILE;
  expect(guest.calls['poll_oneoff']!(OTHER, OTHER, 1, OTHER)).toBe(0);
  expect(guest.u32(OTHER)).toBe(1);
});

test('as much as can be asked for, and more', () => {
  expect(guest.calls['random_get']!(0, -1)).toBe(ERRNO.FAULT);
  for (const count of [1_000_000, 0x0555_5556, -1]) {
    const errno = guest.calls['poll_oneoff']!(0, 0, count, AT.result);
    expect([ERRNO.INVAL, ERRNO.FAULT]).toContain(errno);
  }
  for (const count of [1025, 0x2000_0000, 0x2000_0001, -1]) {
    expect(guest.calls['fd_read']!(FILE, 0, count, AT.result)).toBe(ERRNO.INVAL);
  }
  for (const length of [0x7fff_ffff, -1]) {
    expect(guest.calls['path_open']!(ROOT, 0, 1, length, 0, 0n, 0n, 0, AT.result)).not.toBe(0);
    expect(guest.calls['fd_readdir']!(DIRECTORY, 1, length, 0n, AT.result)).toBe(ERRNO.FAULT);
    expect(guest.calls['fd_prestat_dir_name']!(ROOT, 1, length)).toBe(ERRNO.FAULT);
    expect(guest.calls['path_readlink']!(ROOT, AT.path + 8, 1, 1, length, AT.result)).toBe(
      ERRNO.FAULT,
    );
  }
  let opened = 0;
  for (;;) {
    const fd = guest.open('f', { rights: RIGHT.FD_READ });
    if (fd < 0) {
      expect(fd).toBe(-ERRNO.MFILE);
      break;
    }
    opened += 1;
  }
  // What is free again is used again, and what is open still works.
  expect(guest.calls['fd_close']!(FILE)).toBe(0);
  expect(guest.open('f', { rights: RIGHT.FD_READ })).toBe(FILE);
  expect(guest.read(FILE, 3)).toBe('con');
  console.log(`${opened} files open at once`);
});
