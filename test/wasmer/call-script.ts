/** Scripts of WASI calls, for layers that have nothing in common but the calls. */
import type { GuestMemory } from '../../src/abi/guest-memory.ts';
import type { Calls } from '../../src/wasi/calls.ts';

/** Where a script has its things in guest memory. */
const AT = { path: 0x100, path2: 0x400, result: 0x800, iovecs: 0x900, data: 0x1000, read: 0x4000 };
const DATA_BYTES = 0x2000;
const RIGHTS = 0x1fff_ffffn;

export interface ScriptWorld {
  readonly calls: Calls;
  readonly memory: GuestMemory;
}

/** What a step saw: an errno and what else of its answer matters. */
export type Seen = readonly (string | number | bigint)[];
export type Step = (world: ScriptWorld) => Seen;

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

function put({ memory }: ScriptWorld, at: number, value: string): number {
  const bytes = Buffer.from(value);
  memory.bytes.set(bytes, at);
  return bytes.length;
}

function iovec({ memory }: ScriptWorld, pointer: number, length: number): void {
  memory.view.setUint32(AT.iovecs, pointer, true);
  memory.view.setUint32(AT.iovecs + 4, length, true);
}

const u32 = ({ memory }: ScriptWorld) => memory.view.getUint32(AT.result, true);
const u64 = ({ memory }: ScriptWorld) => memory.view.getBigUint64(AT.result, true);

/** `path_open` below `dirfd`; sees errno and the new number. `oflags`: 1 create, 2 directory, 4 excl, 8 truncate. */
export const open =
  (path: string, { dirfd = 3, oflags = 0, fdflags = 0, rights = RIGHTS } = {}): Step =>
  (world) => {
    const length = put(world, AT.path, path);
    const errno = world.calls['path_open']!(
      dirfd,
      0,
      AT.path,
      length,
      oflags,
      rights,
      RIGHTS,
      fdflags,
      AT.result,
    );
    return errno === 0 ? [errno, u32(world)] : [errno];
  };

export const write =
  (fd: number, what: string): Step =>
  (world) => {
    iovec(world, AT.data, put(world, AT.data, what));
    const errno = world.calls['fd_write']!(fd, AT.iovecs, 1, AT.result);
    return errno === 0 ? [errno, u32(world)] : [errno];
  };

export const pwrite =
  (fd: number, what: string, offset: bigint): Step =>
  (world) => {
    iovec(world, AT.data, put(world, AT.data, what));
    const errno = world.calls['fd_pwrite']!(fd, AT.iovecs, 1, offset, AT.result);
    return errno === 0 ? [errno, u32(world)] : [errno];
  };

const readWith = (
  world: ScriptWorld,
  length: number,
  call: (iovecs: number, result: number) => number,
): Seen => {
  iovec(world, AT.read, length);
  const errno = call(AT.iovecs, AT.result);
  if (errno !== 0) return [errno];
  return [errno, text(world.memory.bytes.subarray(AT.read, AT.read + u32(world)))];
};

export const read =
  (fd: number, length: number): Step =>
  (world) =>
    readWith(world, length, (iovecs, result) => world.calls['fd_read']!(fd, iovecs, 1, result));

export const pread =
  (fd: number, length: number, offset: bigint): Step =>
  (world) =>
    readWith(world, length, (iovecs, result) =>
      world.calls['fd_pread']!(fd, iovecs, 1, offset, result),
    );

/** `whence`: 0 from the start, 1 from where it stands, 2 from the end. */
export const seek =
  (fd: number, offset: bigint, whence: number): Step =>
  (world) => {
    const errno = world.calls['fd_seek']!(fd, offset, whence, AT.result);
    return errno === 0 ? [errno, u64(world)] : [errno];
  };

export const tell =
  (fd: number): Step =>
  (world) => {
    const errno = world.calls['fd_tell']!(fd, AT.result);
    return errno === 0 ? [errno, u64(world)] : [errno];
  };

/** Any call that is given numbers and answers with an errno alone. */
export const call =
  (name: string, ...args: readonly (number | bigint)[]): Step =>
  (world) => [world.calls[name]!(...args)];

/** A call `(dirfd, path, length)`. */
export const onPath =
  (name: string, path: string, dirfd = 3): Step =>
  (world) => [world.calls[name]!(dirfd, AT.path, put(world, AT.path, path))];

export const rename =
  (from: string, to: string, dirfd = 3): Step =>
  (world) => [
    world.calls['path_rename']!(
      dirfd,
      AT.path,
      put(world, AT.path, from),
      dirfd,
      AT.path2,
      put(world, AT.path2, to),
    ),
  ];

export const link =
  (from: string, to: string, dirfd = 3): Step =>
  (world) => [
    world.calls['path_link']!(
      dirfd,
      0,
      AT.path,
      put(world, AT.path, from),
      dirfd,
      AT.path2,
      put(world, AT.path2, to),
    ),
  ];

export const symlink =
  (target: string, path: string, dirfd = 3): Step =>
  (world) => [
    world.calls['path_symlink']!(
      AT.path,
      put(world, AT.path, target),
      dirfd,
      AT.path2,
      put(world, AT.path2, path),
    ),
  ];

export const readlink =
  (path: string, dirfd = 3): Step =>
  (world) => {
    const length = put(world, AT.path, path);
    const errno = world.calls['path_readlink']!(
      dirfd,
      AT.path,
      length,
      AT.read,
      DATA_BYTES,
      AT.result,
    );
    if (errno !== 0) return [errno];
    return [errno, text(world.memory.bytes.subarray(AT.read, AT.read + u32(world)))];
  };

/** Sees file type and size; times and numbers of the host are its own. */
export const filestat =
  (fd: number): Step =>
  (world) => {
    const errno = world.calls['fd_filestat_get']!(fd, AT.read);
    return errno === 0 ? [errno, ...statOf(world)] : [errno];
  };

export const pathFilestat =
  (path: string, { dirfd = 3, follow = 0 } = {}): Step =>
  (world) => {
    const length = put(world, AT.path, path);
    const errno = world.calls['path_filestat_get']!(dirfd, follow, AT.path, length, AT.read);
    return errno === 0 ? [errno, ...statOf(world)] : [errno];
  };

const statOf = ({ memory }: ScriptWorld): Seen => [
  memory.view.getUint8(AT.read + 16),
  memory.view.getBigUint64(AT.read + 32, true),
];

/** Sees file type and flags. */
export const fdstat =
  (fd: number): Step =>
  (world) => {
    const errno = world.calls['fd_fdstat_get']!(fd, AT.read);
    const { view } = world.memory;
    return errno === 0
      ? [errno, view.getUint8(AT.read), view.getUint16(AT.read + 2, true)]
      : [errno];
  };

/** Sees the names from a cookie on, sorted when it is 0, and the number of bytes. */
export const readdir =
  (fd: number, cookie = 0n, size = DATA_BYTES): Step =>
  (world) => {
    const errno = world.calls['fd_readdir']!(fd, AT.read, size, cookie, AT.result);
    if (errno !== 0) return [errno];
    const used = u32(world);
    const { view, bytes } = world.memory;
    const names: string[] = [];
    for (let at = AT.read; at + 24 <= AT.read + used; ) {
      const length = view.getUint32(at + 16, true);
      names.push(text(bytes.subarray(at + 24, Math.min(at + 24 + length, AT.read + used))));
      at += 24 + length;
    }
    return [errno, used, ...(cookie === 0n ? names.sort() : names)];
  };

/** Runs all of them; a step that throws ends the script and shows how. */
export function runScript(world: ScriptWorld, steps: readonly Step[]): Seen[] {
  return steps.map((step) => step(world));
}
