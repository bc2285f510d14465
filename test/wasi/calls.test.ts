import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { FDFLAGS } from '../../src/abi/flags.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import type { OutputSink } from '../../src/handle/grants.ts';
import { type LimitName, LimitReached } from '../../src/resource/limit-reached.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import { GuestExit } from '../../src/wasi/environment.ts';
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

let host: Host;
let guest: Guest;

beforeEach(() => {
  host = createHost();
  guest = startGuest(host);
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
});

const NAMES = `args_get args_sizes_get clock_res_get clock_time_get environ_get environ_sizes_get
  fd_advise fd_allocate fd_close fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights
  fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread fd_prestat_dir_name
  fd_prestat_get fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write
  path_create_directory path_filestat_get path_filestat_set_times path_link path_open path_readlink
  path_remove_directory path_rename path_symlink path_unlink_file poll_oneoff proc_exit proc_raise
  random_get sched_yield sock_accept sock_recv sock_send sock_shutdown`.split(/\s+/);

test('all 46 calls are there, and no other', () => {
  expect(NAMES.length).toBe(46);
  expect(Object.keys(guest.calls).sort()).toEqual(NAMES.toSorted());
});

describe('what the guest is started with', () => {
  test('arguments', () => {
    expect(guest.calls['args_sizes_get']!(AT.result, AT.result + 4)).toBe(0);
    expect([guest.u32(), guest.u32(AT.result + 4)]).toEqual([2, 8]);
    expect(guest.calls['args_get']!(AT.iovecs, AT.data)).toBe(0);
    expect(guest.text(AT.data, 8)).toBe('prog\0ü\0');
    expect(guest.u32(AT.iovecs + 4)).toBe(AT.data + 5);
    expect(guest.calls['args_get']!(AT.iovecs, MEMORY_BYTES - 7)).toBe(ERRNO.FAULT);
    expect(guest.calls['args_get']!(MEMORY_BYTES - 7, AT.data)).toBe(ERRNO.FAULT);
  });

  test('environment', () => {
    expect(guest.calls['environ_sizes_get']!(AT.result, AT.result + 4)).toBe(0);
    expect([guest.u32(), guest.u32(AT.result + 4)]).toEqual([1, 4]);
    expect(guest.calls['environ_get']!(AT.iovecs, AT.data)).toBe(0);
    expect(guest.text(AT.data, 4)).toBe('A=1\0');
    expect(guest.calls['environ_sizes_get']!(-1, AT.result)).toBe(ERRNO.FAULT);
  });
});

describe('clocks', () => {
  test('each shows its own time', () => {
    host.clock.monotonicNs += 25n;
    const times = [0, 1, 2, 3].map((id) => {
      expect(guest.calls['clock_time_get']!(id, 0n, AT.result)).toBe(0);
      return guest.u64();
    });
    expect(times).toEqual([10n ** 18n, 25n, 0n, 0n]);
    expect(guest.calls['clock_res_get']!(1, AT.result)).toBe(0);
    expect(guest.u64()).toBe(1n);
    expect(guest.calls['clock_time_get']!(4, 0n, AT.result)).toBe(ERRNO.INVAL);
    expect(guest.calls['clock_res_get']!(-1, AT.result)).toBe(ERRNO.INVAL);
    expect(guest.calls['clock_time_get']!(0, 0n, MEMORY_BYTES - 7)).toBe(ERRNO.FAULT);
  });
});

describe('random', () => {
  test('fills exactly what is asked for', () => {
    expect(guest.calls['random_get']!(AT.data, 200_000)).toBe(0);
    const bytes = guest.memory.bytes;
    expect(new Set(bytes.subarray(AT.data + 199_900, AT.data + 200_000)).size).toBeGreaterThan(20);
    expect(bytes[AT.data - 1]).toBe(0);
    expect(bytes[AT.data + 200_000]).toBe(0);
  });

  test('4 GiB is FAULT at once', () => {
    let asked = 0;
    const counted = startGuest(host, {
      random: () => {
        asked += 1;
      },
    });
    // A run's generation is drawn when its resources are made.
    asked = 0;
    expect(counted.calls['random_get']!(0, -1)).toBe(ERRNO.FAULT);
    expect(counted.calls['random_get']!(MEMORY_BYTES - 1, 2)).toBe(ERRNO.FAULT);
    expect(counted.calls['random_get']!(MEMORY_BYTES, 0)).toBe(0);
    expect(asked).toBe(0);
    counted.resources.close();
  });
});

describe('streams', () => {
  test('output goes to its sink in order', () => {
    guest.put(AT.data, 'abcdef');
    iovecs(guest, [
      [AT.data + 3, 3],
      [AT.data, 3],
    ]);
    expect(guest.calls['fd_write']!(1, AT.iovecs, 2, AT.result)).toBe(0);
    expect(guest.u32()).toBe(6);
    guest.write(2, 'oops');
    expect(host.written).toEqual({ stdout: 'defabc', stderr: 'oops' });
    expect(guest.calls['fd_read']!(1, AT.iovecs, 1, AT.result)).toBe(ERRNO.BADF);
    expect(guest.calls['fd_write']!(0, AT.iovecs, 1, AT.result)).toBe(ERRNO.BADF);
  });

  test('a sink may take less, fail, or be full until a checkpoint is asked for', () => {
    const answers = [2, 1, -ERRNO.PIPE, 1, 0];
    const asked: string[] = [];
    const stdout: OutputSink = {
      isTerminal: true,
      hostFd: 7,
      record: (parts) => {
        asked.push(`record ${Buffer.concat(parts)}`);
        return ERRNO.SUCCESS;
      },
      write: (parts, fromBytes) => {
        asked.push(`write ${Buffer.concat(parts).subarray(fromBytes)}`);
        return answers.shift() ?? 0;
      },
    };
    const fussy = startGuest(host, { stdout });
    host.waits.push(() => 'ready');
    expect(fussy.write(1, 'abc')).toBe(3);
    expect(fussy.write(1, 'd')).toBe(-ERRNO.PIPE);
    host.waits.push(
      () => 'ready',
      () => 'interrupted',
    );
    fussy.put(AT.data, 'efg');
    iovecs(fussy, [
      [AT.data, 2],
      [AT.data + 2, 1],
    ]);
    const again = () => fussy.calls['fd_write']!(1, AT.iovecs, 2, AT.result);
    expect(again()).toBe(INTERRUPTED);
    // Made again afterwards, it goes on behind what was taken, and records nothing twice.
    answers.push(2);
    expect(again()).toBe(ERRNO.SUCCESS);
    expect(fussy.u32()).toBe(3);
    expect(fussy.environment.progress).toBeNull();
    expect(asked).toEqual([
      'record abc',
      'write abc',
      'write c',
      'record d',
      'write d',
      'record efg',
      'write efg',
      'write fg',
      'write fg',
    ]);
    // Progress that no write can have made is not believed.
    for (const progress of [-1, 4, 1.5, 'x', 10n ** 20n]) {
      asked.length = 0;
      answers.push(3);
      fussy.environment.progress = progress;
      expect(again()).toBe(ERRNO.SUCCESS);
      expect(asked).toEqual(['record efg', 'write efg']);
    }
    expect(fussy.write(1, '')).toBe(0);
    expect(fussy.calls['fd_fdstat_get']!(1, AT.result)).toBe(0);
    expect(fussy.memory.bytes[AT.result]).toBe(2);
    fussy.resources.close();
  });

  test('a write of any size is written whole, in parts between which a checkpoint may come', () => {
    const records: number[] = [];
    let taken = 0;
    const stdout: OutputSink = {
      isTerminal: false,
      hostFd: null,
      record: (parts) => {
        records.push(parts.reduce((sum, { length }) => sum + length, 0));
        return ERRNO.SUCCESS;
      },
      write: (parts, fromBytes) => {
        const bytes = parts.reduce((sum, { length }) => sum + length, 0) - fromBytes;
        taken += bytes;
        return bytes;
      },
    };
    const loud = startGuest(host, { stdout });
    const lengthBytes = 60_000;
    iovecs(
      loud,
      Array.from({ length: 1024 }, (): [number, number] => [AT.data, lengthBytes]),
    );
    const all = 1024 * lengthBytes;
    const writeAll = () => loud.calls['fd_write']!(1, AT.iovecs, 1024, AT.result);
    const part = 16 * 2 ** 20;
    const parts = [part, part, part, all - 3 * part];
    expect(writeAll()).toBe(0);
    expect([loud.u32(), taken, records]).toEqual([all, all, parts]);

    // Interrupted before its second and its fourth part, it goes on there, and says how much it was in all.
    records.length = 0;
    taken = 0;
    host.waits.push(() => 'interrupted');
    expect(writeAll()).toBe(INTERRUPTED);
    expect(taken).toBe(part);
    host.waits.push(
      () => 'timeout',
      () => 'interrupted',
    );
    expect(writeAll()).toBe(INTERRUPTED);
    expect(taken).toBe(3 * part);
    expect(writeAll()).toBe(0);
    expect([loud.u32(), taken, records]).toEqual([all, all, parts]);
    expect(loud.environment.progress).toBeNull();
    console.log(`${records.length} parts of a write of ${all} bytes`);
    loud.resources.close();
  });

  test('stdin is read as it comes, waits when empty, and ends', () => {
    host.stdin.push(Buffer.from('hello'));
    expect(guest.read(0, 3)).toBe('hel');
    expect(guest.read(0, 30)).toBe('lo');
    host.waits.push((untilNs, onStdin) => {
      expect([untilNs, onStdin]).toEqual([null, true]);
      host.stdin.push(Buffer.from('late'));
      return 'ready';
    });
    expect(guest.read(0, 30)).toBe('late');
    guest.calls['fd_fdstat_set_flags']!(0, FDFLAGS.NONBLOCK);
    expect(guest.read(0, 30)).toBe(-ERRNO.AGAIN);
    expect(guest.read(0, 0)).toBe('');
    host.stdin.push('end');
    expect(guest.read(0, 30)).toBe('');
    expect(guest.read(0, 30)).toBe('');
  });

  test('a wait for stdin that is interrupted has taken nothing', () => {
    host.waits.push(() => 'interrupted');
    iovecs(guest, [[AT.data, 10]]);
    expect(guest.calls['fd_read']!(0, AT.iovecs, 1, AT.result)).toBe(INTERRUPTED);
    host.stdin.push(Buffer.from('x'));
    expect(guest.read(0, 10)).toBe('x');
  });

  test('a source that fails is IO', () => {
    host.stdin.push('failed');
    expect(guest.read(0, 1)).toBe(-ERRNO.IO);
  });
});

describe('the end', () => {
  const ending = (call: () => unknown): unknown => {
    try {
      return call();
    } catch (error) {
      return error instanceof GuestExit ? { exit: error.code } : error;
    }
  };

  test('proc_exit throws the code', () => {
    expect(ending(() => guest.calls['proc_exit']!(3))).toEqual({ exit: 3 });
    expect(ending(() => guest.calls['proc_exit']!(-1))).toEqual({ exit: 2 ** 32 - 1 });
  });

  test('proc_raise does what the signal does', () => {
    expect(ending(() => guest.calls['proc_raise']!(6))).toEqual({ exit: 134 });
    expect(ending(() => guest.calls['proc_raise']!(0))).toBe(0);
    expect(ending(() => guest.calls['proc_raise']!(16))).toBe(0);
    expect(ending(() => guest.calls['proc_raise']!(18))).toBe(ERRNO.NOTSUP);
    expect(ending(() => guest.calls['proc_raise']!(31))).toBe(ERRNO.INVAL);
  });

  test('yielding and sockets', () => {
    expect(guest.calls['sched_yield']!()).toBe(0);
    expect(guest.calls['sock_shutdown']!(1, 0)).toBe(ERRNO.NOTSOCK);
    expect(guest.calls['sock_accept']!(99, 0, 0)).toBe(ERRNO.BADF);
  });
});

describe('hostile arguments', () => {
  test('iovecs that wrap, lie outside or are too many', () => {
    const fd = guest.open('a', { oflags: 1 });
    const io = (name: string, pointer: number, count: number, size = AT.result) =>
      guest.calls[name]!(fd, pointer, count, size);
    for (const name of ['fd_read', 'fd_write']) {
      iovecs(guest, [[0xffff_fff0, 0x20]]);
      expect(io(name, AT.iovecs, 1)).toBe(ERRNO.FAULT);
      iovecs(guest, [[MEMORY_BYTES - 1, 2]]);
      expect(io(name, AT.iovecs, 1)).toBe(ERRNO.FAULT);
      iovecs(guest, [[MEMORY_BYTES, 0]]);
      expect(io(name, AT.iovecs, 1)).toBe(0);
      expect(io(name, -8, 1)).toBe(ERRNO.FAULT);
      expect(io(name, MEMORY_BYTES - 8, 2)).toBe(ERRNO.FAULT);
      expect(io(name, 0, 1025)).toBe(ERRNO.INVAL);
      expect(io(name, 0, -1)).toBe(ERRNO.INVAL);
      expect(io(name, 0, 0x2000_0001)).toBe(ERRNO.INVAL);
      expect(io(name, AT.iovecs, 1, MEMORY_BYTES - 3)).toBe(ERRNO.FAULT);
    }
    // The second buffer is bad: the first must not have been written.
    iovecs(guest, [
      [AT.data, 4],
      [-4, 8],
    ]);
    expect(io('fd_write', AT.iovecs, 2)).toBe(ERRNO.FAULT);
    guest.calls['fd_filestat_get']!(fd, AT.result);
    expect(guest.u64(AT.result + 32)).toBe(0n);
  });

  test('reading over the iovecs themselves stays in order', () => {
    const fd = guest.open('a', { oflags: 1 });
    guest.write(fd, 'x'.repeat(64));
    guest.calls['fd_seek']!(fd, 0n, 0, AT.result);
    iovecs(guest, [
      [AT.iovecs, 16],
      [AT.data, 4],
    ]);
    expect(guest.calls['fd_read']!(fd, AT.iovecs, 2, AT.result)).toBe(0);
    expect(guest.u32()).toBe(20);
    expect(guest.text(AT.data, 4)).toBe('xxxx');
  });

  test('any arguments give an errno or the end for their size, never another exception', () => {
    // A generator of our own, so that a failure names its seed.
    let state = 0x2545_f491;
    const random = (below: number) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % below;
    };
    const interesting = [
      0,
      1,
      2,
      3,
      4,
      5,
      8,
      64,
      -1,
      -8,
      AT.path,
      AT.data,
      AT.iovecs,
      MEMORY_BYTES - 4,
      MEMORY_BYTES,
      0x7fff_ffff,
      -0x8000_0000,
    ];
    const i32 = () => interesting[random(interesting.length)]!;
    const names = NAMES.filter((name) => !name.startsWith('proc_'));
    host.stdin.push(Buffer.from('some input'), 'end');
    guest.open('a', { oflags: 1 });
    let succeeded = 0;
    for (let round = 0; round < 20_000; round++) {
      const name = names[random(names.length)]!;
      const wide = WIDE[name] ?? [];
      const args = Array.from({ length: ARITY[name] ?? 4 }, (_, index) =>
        wide.includes(index) ? BigInt(i32()) : i32(),
      );
      if (random(4) === 0) guest.put(AT.path, ['a', 'b/c', '..', '.', 'x/', 'lnk'][random(6)]!);
      const what = `round ${round}: ${name}(${args.join(', ')})`;
      let result: number;
      try {
        result = guest.calls[name]!(...args);
      } catch (error) {
        if (error instanceof LimitReached && BY_SIZE.includes(error.limit)) continue;
        throw new Error(what, { cause: error });
      }
      const isErrno = Number.isInteger(result) && result >= 0 && result <= ERRNO.NOTCAPABLE;
      expect(isErrno, `${what} gave ${result}`).toBe(true);
      if (result === 0) succeeded += 1;
    }
    expect(succeeded).toBeGreaterThan(500);
  });
});

/** Limits of what a call is handed over. */
const BY_SIZE: readonly LimitName[] = ['path', 'iovecs', 'subscriptions'];

/** Parameters by call, where there are not 4, and which of them are i64. */
const ARITY: Readonly<Record<string, number>> = {
  args_get: 2,
  args_sizes_get: 2,
  environ_get: 2,
  environ_sizes_get: 2,
  clock_res_get: 2,
  clock_time_get: 3,
  fd_allocate: 3,
  fd_close: 1,
  fd_datasync: 1,
  fd_fdstat_get: 2,
  fd_fdstat_set_flags: 2,
  fd_fdstat_set_rights: 3,
  fd_filestat_get: 2,
  fd_filestat_set_size: 2,
  fd_pread: 5,
  fd_prestat_get: 2,
  fd_prestat_dir_name: 3,
  fd_pwrite: 5,
  fd_readdir: 5,
  fd_renumber: 2,
  fd_sync: 1,
  fd_tell: 2,
  path_create_directory: 3,
  path_filestat_get: 5,
  path_filestat_set_times: 7,
  path_link: 7,
  path_open: 9,
  path_readlink: 6,
  path_remove_directory: 3,
  path_rename: 6,
  path_symlink: 5,
  path_unlink_file: 3,
  random_get: 2,
  sched_yield: 0,
  sock_accept: 3,
  sock_recv: 6,
  sock_send: 5,
  sock_shutdown: 2,
};
const WIDE: Readonly<Record<string, readonly number[]>> = {
  clock_time_get: [1],
  fd_advise: [1, 2],
  fd_allocate: [1, 2],
  fd_fdstat_set_rights: [1, 2],
  fd_filestat_set_size: [1],
  fd_filestat_set_times: [1, 2],
  fd_pread: [3],
  fd_pwrite: [3],
  fd_readdir: [3],
  fd_seek: [1],
  path_filestat_set_times: [4, 5],
  path_open: [5, 6],
};

test('the rights of a stream show no terminal where there is none', () => {
  expect(guest.calls['fd_fdstat_get']!(0, AT.result)).toBe(0);
  expect(guest.memory.bytes[AT.result]).toBe(0);
  expect(guest.u64(AT.result + 8) & BigInt(RIGHT.FD_SEEK | RIGHT.FD_TELL)).toBe(0n);
});
