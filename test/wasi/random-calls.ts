/**
 * Random calls of preview1 with random arguments: right ones, nearly right ones, and nonsense. What is
 * made depends on the chance alone, so a seed makes the same calls again.
 */
import type { Chance } from '../e2e/random-source.ts';
import { type Guest, MEMORY_BYTES } from './harness.ts';

/** What a parameter stands for. */
type Kind =
  | 'fd'
  | 'pointer'
  | 'result'
  | 'length'
  | 'path'
  | 'iovecs'
  | 'subscriptions'
  | 'small'
  | 'flags'
  | 'clock'
  | 'rights'
  | 'i64'
  | 'size64'
  | 'cookie';

/** By call: the parameters in order. Paths and iovecs are two each, subscriptions with events three. */
const SHAPES: Readonly<Record<string, readonly Kind[]>> = {
  args_get: ['pointer', 'pointer'],
  args_sizes_get: ['result', 'result'],
  environ_get: ['pointer', 'pointer'],
  environ_sizes_get: ['result', 'result'],
  clock_res_get: ['clock', 'result'],
  clock_time_get: ['clock', 'i64', 'result'],
  fd_advise: ['fd', 'i64', 'i64', 'small'],
  fd_allocate: ['fd', 'size64', 'size64'],
  fd_close: ['fd'],
  fd_datasync: ['fd'],
  fd_fdstat_get: ['fd', 'result'],
  fd_fdstat_set_flags: ['fd', 'flags'],
  fd_fdstat_set_rights: ['fd', 'rights', 'rights'],
  fd_filestat_get: ['fd', 'result'],
  fd_filestat_set_size: ['fd', 'size64'],
  fd_filestat_set_times: ['fd', 'i64', 'i64', 'flags'],
  fd_pread: ['fd', 'iovecs', 'i64', 'result'],
  fd_prestat_get: ['fd', 'result'],
  fd_prestat_dir_name: ['fd', 'pointer', 'length'],
  fd_pwrite: ['fd', 'iovecs', 'size64', 'result'],
  fd_read: ['fd', 'iovecs', 'result'],
  fd_readdir: ['fd', 'pointer', 'length', 'cookie', 'result'],
  fd_renumber: ['fd', 'fd'],
  fd_seek: ['fd', 'size64', 'small', 'result'],
  fd_sync: ['fd'],
  fd_tell: ['fd', 'result'],
  fd_write: ['fd', 'iovecs', 'result'],
  path_create_directory: ['fd', 'path'],
  path_filestat_get: ['fd', 'small', 'path', 'result'],
  path_filestat_set_times: ['fd', 'small', 'path', 'i64', 'i64', 'flags'],
  path_link: ['fd', 'small', 'path', 'fd', 'path'],
  path_open: ['fd', 'small', 'path', 'flags', 'rights', 'rights', 'flags', 'result'],
  path_readlink: ['fd', 'path', 'pointer', 'length', 'result'],
  path_remove_directory: ['fd', 'path'],
  path_rename: ['fd', 'path', 'fd', 'path'],
  path_symlink: ['path', 'fd', 'path'],
  path_unlink_file: ['fd', 'path'],
  poll_oneoff: ['subscriptions', 'result'],
  proc_exit: ['small'],
  proc_raise: ['small'],
  random_get: ['pointer', 'length'],
  sched_yield: [],
  sock_accept: ['fd', 'flags', 'result'],
  sock_recv: ['fd', 'iovecs', 'flags', 'result', 'result'],
  sock_send: ['fd', 'iovecs', 'flags', 'result'],
  sock_shutdown: ['fd', 'small'],
};

export const CALLS: readonly string[] = Object.keys(SHAPES);

/** Calls that make a script go somewhere, more often than the rest. */
const FAVOURITES = [
  ...['path_open', 'path_open', 'path_open', 'path_open', 'fd_read', 'fd_write', 'fd_readdir'],
  ...['path_symlink', 'path_rename', 'path_link', 'path_create_directory', 'path_filestat_get'],
];

const NAMES = [
  'a',
  'b',
  'c',
  'dir',
  'dir/a',
  'dir/b',
  'out',
  'out/secret',
  'ro',
  'up',
  'abs',
  'loop',
];
const ODD = [
  ...['', '.', '..', '/', '../out/secret', '/etc/passwd', 'dir/../../out/secret', 'dir/..', './/a'],
  ...[
    'a/',
    'dir/',
    'up/',
    'a\0b',
    'ü😀',
    'x'.repeat(255),
    'x'.repeat(256),
    'd/'.repeat(200),
    '../in/a',
  ],
  ...['up/secret', 'abs/secret', 'dir/../up/secret', 'loop/a', '\ufeffa', '...', ' ', 'out/../a'],
];

export interface RandomCall {
  readonly name: string;
  readonly args: readonly (number | bigint)[];
}

function oneOf<T>(chance: Chance, items: readonly T[]): T {
  return items[chance.below(items.length)]!;
}

/** Writes what the call points to into the guest's memory, and gives the call. */
export function randomCall(chance: Chance, guest: Guest, names: readonly string[]): RandomCall {
  const favourites = FAVOURITES.filter((name) => names.includes(name));
  const wanted = chance.below(2) === 0 && favourites.length > 0 ? favourites : names;
  const name = oneOf(chance, wanted);
  const args: (number | bigint)[] = [];
  // Each parameter has a place of its own, so that a call's structures rarely lie over each other.
  let place = 0x400;
  for (const kind of SHAPES[name]!) {
    args.push(...argumentsOf(kind, chance, guest, place));
    place += 0x2000;
  }
  return { name, args };
}

function argumentsOf(kind: Kind, chance: Chance, guest: Guest, place: number): (number | bigint)[] {
  const odd = chance.below(8) === 0;
  switch (kind) {
    case 'fd':
      if (odd) return [oneOf(chance, [-1, 0x7fff_ffff, -0x8000_0000, 1024, 65_535, 99])];
      return [chance.below(3) === 0 ? chance.below(16) : oneOf(chance, [3, 3, 4, 5, 6, 7])];
    case 'pointer':
    case 'result':
      return [odd ? oddPointer(chance) : place + chance.below(64)];
    case 'length':
      return [
        odd ? oneOf(chance, [-1, -0x8000_0000, MEMORY_BYTES, 0x7fff_ffff]) : chance.below(600),
      ];
    case 'path':
      return pathAt(chance, guest, place, odd);
    case 'iovecs':
      return iovecsAt(chance, guest, place, odd);
    case 'subscriptions':
      return subscriptionsAt(chance, guest, place, odd);
    case 'small':
      return [odd ? oneOf(chance, [-1, 255, 31, 0x4000_0000]) : chance.below(4)];
    case 'flags':
      return [odd ? oneOf(chance, [-1, 0xffff, 32, 64]) : chance.below(16)];
    case 'clock':
      return [odd ? oneOf(chance, [-1, 4, 255]) : chance.below(4)];
    case 'rights':
      return [
        oneOf(chance, [-1n, 0n, 2n, 64n, 66n, 2n ** 30n - 1n, 2n ** 63n, (1n << 29n) - 1n - 64n]),
      ];
    case 'i64':
      return [
        oneOf(chance, [0n, 1n, -1n, 5n, 10n ** 18n, 2n ** 62n, -(2n ** 63n), 2n ** 63n - 1n]),
      ];
    case 'size64':
      return [oneOf(chance, [0n, 1n, 7n, 100n, 4096n, 70_000n, -1n, -7n, 2n ** 60n, -(2n ** 63n)])];
    case 'cookie':
      return [oneOf(chance, [0n, 0n, 1n, 2n, 3n, 5n, 10n ** 6n, -1n, 2n ** 53n + 1n])];
  }
}

function oddPointer(chance: Chance): number {
  const end = MEMORY_BYTES;
  return oneOf(chance, [-1, -8, -0x8000_0000, end, end - 1, end - 7, end - 24, 0x7fff_fff8, 0]);
}

function pathAt(chance: Chance, guest: Guest, place: number, odd: boolean): [number, number] {
  if (odd && chance.below(3) === 0) {
    return [oddPointer(chance), oneOf(chance, [-1, 1, 4096, 5000, 0x7fff_ffff])];
  }
  let path = odd || chance.below(3) === 0 ? oneOf(chance, ODD) : oneOf(chance, NAMES);
  if (chance.below(4) === 0) path = `${path}/${oneOf(chance, NAMES)}`;
  const length = guest.put(place, path);
  // Half a character now and then.
  return [place, chance.below(50) === 0 ? Math.max(0, length - 1) : length];
}

function iovecsAt(chance: Chance, guest: Guest, place: number, odd: boolean): [number, number] {
  if (odd && chance.below(2) === 0) {
    return [oddPointer(chance), oneOf(chance, [-1, 1025, 0x2000_0001, 3])];
  }
  const count = chance.below(4);
  for (let index = 0; index < count; index++) {
    const at = place + index * 8;
    const wild = odd && chance.below(3) === 0;
    // Some lie over the iovecs themselves, and over each other.
    const start = wild ? oddPointer(chance) : chance.below(4) === 0 ? place : place + 0x800;
    const length = wild ? oneOf(chance, [-1, -8, MEMORY_BYTES]) : chance.below(300);
    guest.memory.view.setUint32(at, start >>> 0, true);
    guest.memory.view.setUint32(at + 4, length >>> 0, true);
  }
  return [place, count];
}

/** The subscriptions, where the events go, and how many: three parameters. */
function subscriptionsAt(
  chance: Chance,
  guest: Guest,
  place: number,
  odd: boolean,
): [number, number, number] {
  const { view } = guest.memory;
  const count = chance.below(5);
  for (let index = 0; index < count; index++) {
    const at = place + index * 48;
    view.setBigUint64(at, BigInt(index), true);
    view.setUint8(at + 8, odd ? chance.below(256) : chance.below(3));
    view.setUint32(at + 16, chance.below(6), true);
    view.setBigUint64(at + 24, oneOf(chance, [0n, 1n, 10n ** 9n, 2n ** 64n - 1n]), true);
    view.setBigUint64(at + 32, 0n, true);
    view.setUint16(at + 40, chance.below(3), true);
  }
  // Events may lie over the subscriptions.
  const out = chance.below(4) === 0 ? place : place + 0x800;
  if (!odd) return [place, out, count];
  return [oddPointer(chance), out, oneOf(chance, [-1, 0, 20_000, 0x1000_0000, count])];
}
