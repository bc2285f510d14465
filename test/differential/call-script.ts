/** Scripts of WASI calls, for layers that have nothing in common but the calls. */
import type { GuestMemory } from '../../src/abi/guest-memory.ts';
import type { Calls } from '../../src/wasi/calls.ts';

/** Where a script has its things in guest memory. */
const AT = { path: 0x100, path2: 0x400, result: 0x800, iovecs: 0x900, data: 0x1000, read: 0x4000 };
const DATA_BYTES = 0x2000;
/** APPEND, DSYNC, NONBLOCK, RSYNC, SYNC. */
const FLAGS = 31;
/** Every right that a file or a directory can have. */
const RIGHTS = 0x0fff_ffffn;
/** Without FD_DATASYNC, FD_WRITE, FD_ALLOCATE, FD_FILESTAT_SET_SIZE: with them a directory is not to be had. */
export const RIGHTS_TO_LIST = RIGHTS & ~0x40_0141n;

export interface ScriptWorld {
  readonly calls: Calls;
  readonly memory: GuestMemory;
  /** Numbers by the names that a script gave them. */
  readonly fds?: Map<string, number>;
}

/** A number, or a name: layers don't agree about numbers. */
export type Fd = number | string;

function numberOf({ fds }: ScriptWorld, fd: Fd): number {
  if (typeof fd === 'number') return fd;
  // -1 is open nowhere: what could not be opened is told as such by the next call.
  return fds?.get(fd) ?? -1;
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

/** As many bytes as the call said it wrote, from where scripts let calls write. */
const textRead = (world: ScriptWorld) =>
  text(world.memory.bytes.subarray(AT.read, AT.read + u32(world)));

/** An errno and, when it is 0, what else the call wrote. */
const answered = (errno: number, more: () => Seen): Seen =>
  errno === 0 ? [errno, ...more()] : [errno];

export interface OpenOptions {
  readonly dirfd?: Fd;
  readonly oflags?: number;
  readonly fdflags?: number;
  readonly rights?: bigint;
  readonly follow?: number;
  /** Gives the new number this name, and does not show it. */
  readonly as?: string;
}

/** `path_open` below `dirfd`; sees errno and the new number. `oflags`: 1 create, 2 directory, 4 excl, 8 truncate. */
export const open =
  (
    path: string,
    { dirfd = 3, oflags = 0, fdflags = 0, rights = RIGHTS, follow = 0, as = '' }: OpenOptions = {},
  ): Step =>
  (world) => {
    const length = put(world, AT.path, path);
    const errno = world.calls['path_open']!(
      numberOf(world, dirfd),
      follow,
      AT.path,
      length,
      oflags,
      rights,
      RIGHTS,
      fdflags,
      AT.result,
    );
    if (errno === 0 && as !== '') world.fds?.set(as, u32(world));
    return errno === 0 && as === '' ? [errno, u32(world)] : [errno];
  };

export const write =
  (fd: Fd, what: string): Step =>
  (world) => {
    iovec(world, AT.data, put(world, AT.data, what));
    return answered(world.calls['fd_write']!(numberOf(world, fd), AT.iovecs, 1, AT.result), () => [
      u32(world),
    ]);
  };

export const pwrite =
  (fd: Fd, what: string, offset: bigint): Step =>
  (world) => {
    iovec(world, AT.data, put(world, AT.data, what));
    return answered(
      world.calls['fd_pwrite']!(numberOf(world, fd), AT.iovecs, 1, offset, AT.result),
      () => [u32(world)],
    );
  };

const readWith = (
  world: ScriptWorld,
  length: number,
  call: (iovecs: number, result: number) => number,
): Seen => {
  iovec(world, AT.read, length);
  return answered(call(AT.iovecs, AT.result), () => [textRead(world)]);
};

export const read =
  (fd: Fd, length: number): Step =>
  (world) =>
    readWith(world, length, (iovecs, result) =>
      world.calls['fd_read']!(numberOf(world, fd), iovecs, 1, result),
    );

export const pread =
  (fd: Fd, length: number, offset: bigint): Step =>
  (world) =>
    readWith(world, length, (iovecs, result) =>
      world.calls['fd_pread']!(numberOf(world, fd), iovecs, 1, offset, result),
    );

/** `whence`: 0 from the start, 1 from where it stands, 2 from the end. */
export const seek =
  (fd: Fd, offset: bigint, whence: number): Step =>
  (world) => {
    return answered(world.calls['fd_seek']!(numberOf(world, fd), offset, whence, AT.result), () => [
      u64(world),
    ]);
  };

export const tell =
  (fd: Fd): Step =>
  (world) => {
    return answered(world.calls['fd_tell']!(numberOf(world, fd), AT.result), () => [u64(world)]);
  };

/** Any call that is given numbers and answers with an errno alone. */
export const call =
  (name: string, ...args: readonly (Fd | bigint)[]): Step =>
  (world) => [
    world.calls[name]!(
      ...args.map((arg) => (typeof arg === 'string' ? numberOf(world, arg) : arg)),
    ),
  ];

/** A call `(dirfd, path, length)`. */
export const onPath =
  (name: string, path: string, dirfd: Fd = 3): Step =>
  (world) => [world.calls[name]!(numberOf(world, dirfd), AT.path, put(world, AT.path, path))];

export const rename =
  (from: string, to: string, dirfd: Fd = 3): Step =>
  (world) => [
    world.calls['path_rename']!(
      numberOf(world, dirfd),
      AT.path,
      put(world, AT.path, from),
      numberOf(world, dirfd),
      AT.path2,
      put(world, AT.path2, to),
    ),
  ];

export const link =
  (from: string, to: string, dirfd: Fd = 3): Step =>
  (world) => [
    world.calls['path_link']!(
      numberOf(world, dirfd),
      0,
      AT.path,
      put(world, AT.path, from),
      numberOf(world, dirfd),
      AT.path2,
      put(world, AT.path2, to),
    ),
  ];

export const symlink =
  (target: string, path: string, dirfd: Fd = 3): Step =>
  (world) => [
    world.calls['path_symlink']!(
      AT.path,
      put(world, AT.path, target),
      numberOf(world, dirfd),
      AT.path2,
      put(world, AT.path2, path),
    ),
  ];

export const readlink =
  (path: string, dirfd: Fd = 3): Step =>
  (world) => {
    const length = put(world, AT.path, path);
    return answered(
      world.calls['path_readlink']!(
        numberOf(world, dirfd),
        AT.path,
        length,
        AT.read,
        DATA_BYTES,
        AT.result,
      ),
      () => [textRead(world)],
    );
  };

/** Sees file type and size; times and numbers of the host are its own. */
export const filestat =
  (fd: Fd): Step =>
  (world) => {
    return answered(world.calls['fd_filestat_get']!(numberOf(world, fd), AT.read), () => [
      ...statOf(world),
    ]);
  };

export const pathFilestat =
  (path: string, { dirfd = 3 as Fd, follow = 0 } = {}): Step =>
  (world) => {
    const length = put(world, AT.path, path);
    return answered(
      world.calls['path_filestat_get']!(numberOf(world, dirfd), follow, AT.path, length, AT.read),
      () => [...statOf(world)],
    );
  };

const statOf = ({ memory }: ScriptWorld): Seen => [
  memory.view.getUint8(AT.read + 16),
  memory.view.getBigUint64(AT.read + 32, true),
];

/** Sees file type and flags. */
export const fdstat =
  (fd: Fd): Step =>
  (world) => {
    const errno = world.calls['fd_fdstat_get']!(numberOf(world, fd), AT.read);
    if (errno !== 0) return [errno];
    const { view } = world.memory;
    const flags = view.getUint16(AT.read + 2, true);
    const others = (flags & ~FLAGS) === 0 ? '' : 'and others';
    return [errno, view.getUint8(AT.read), `flags ${flags & FLAGS}`, others];
  };

/** Sees the names from a cookie on, sorted when it is 0, and the number of bytes. */
export const readdir =
  (fd: Fd, cookie = 0n, size = DATA_BYTES): Step =>
  (world) => {
    const errno = world.calls['fd_readdir']!(numberOf(world, fd), AT.read, size, cookie, AT.result);
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

/** Opens and closes again; sees which number it was, counted from the granted directory's. */
export const nextNumber =
  (path: string): Step =>
  (world) => {
    const [errno, fd] = open(path, { dirfd: 'root', rights: RIGHTS_TO_LIST })(world);
    if (errno !== 0) return [errno!];
    return [errno, Number(fd) - numberOf(world, 'root'), world.calls['fd_close']!(fd as number)];
  };

/** A call `(list, text)` after its sizes: sees the strings. `name`: `args` or `environ`. */
export const strings =
  (name: string): Step =>
  (world) => {
    const { calls, memory } = world;
    const errno = calls[`${name}_sizes_get`]!(AT.result, AT.result + 4);
    if (errno !== 0) return [errno];
    const count = u32(world);
    const got = calls[`${name}_get`]!(AT.read, AT.data);
    const size = memory.view.getUint32(AT.result + 4, true);
    const all = text(memory.bytes.subarray(AT.data, AT.data + size));
    const offsets = Array.from(
      { length: count },
      (_, at) => memory.view.getUint32(AT.read + at * 4, true) - AT.data,
    );
    return [errno, got, all, ...offsets];
  };

/** What `fd_prestat_get` and `fd_prestat_dir_name` say of a number, counted from the first preopen. */
export const prestat =
  (fd: Fd): Step =>
  (world) => {
    const number = numberOf(world, fd);
    const errno = world.calls['fd_prestat_get']!(number, AT.result);
    if (errno !== 0) return [errno];
    const length = world.memory.view.getUint32(AT.result + 4, true);
    const named = world.calls['fd_prestat_dir_name']!(number, AT.read, length);
    return [errno, named, text(world.memory.bytes.subarray(AT.read, AT.read + length))];
  };

/** Rights that a handle has, both sets. */
export const rights =
  (fd: Fd): Step =>
  (world) => {
    const errno = world.calls['fd_fdstat_get']!(numberOf(world, fd), AT.read);
    if (errno !== 0) return [errno];
    const { view } = world.memory;
    return [errno, view.getBigUint64(AT.read + 8, true), view.getBigUint64(AT.read + 16, true)];
  };

/** Access and modification time. */
export const times =
  (fd: Fd): Step =>
  (world) => {
    const errno = world.calls['fd_filestat_get']!(numberOf(world, fd), AT.read);
    if (errno !== 0) return [errno];
    const { view } = world.memory;
    return [errno, view.getBigUint64(AT.read + 40, true), view.getBigUint64(AT.read + 48, true)];
  };

/** Links, type and whether device and inode are told. */
export const identity =
  (fd: Fd): Step =>
  (world) => {
    const errno = world.calls['fd_filestat_get']!(numberOf(world, fd), AT.read);
    if (errno !== 0) return [errno];
    const { view } = world.memory;
    const inode = view.getBigUint64(AT.read + 8, true) === 0n ? 'inode 0' : 'an inode';
    const type = view.getUint8(AT.read + 16);
    // What a directory has, file systems don't agree about.
    const links = type === 3 ? '' : `${view.getBigUint64(AT.read + 24, true)} links`;
    return [errno, type, links, inode];
  };

/** Whether a clock tells something; what it is differs. */
export const clock =
  (id: number): Step =>
  (world) => {
    return answered(world.calls['clock_time_get']!(id, 1n, AT.result), () => [
      u64(world) > 0n ? 'a time' : 'nothing',
    ]);
  };

export const resolution =
  (id: number): Step =>
  (world) => {
    return answered(world.calls['clock_res_get']!(id, AT.result), () => [
      u64(world) > 0n ? 'a resolution' : 'nothing',
    ]);
  };

/** Waits for one thing; sees how many events there were, and the first one's errno and type. */
export const poll =
  (
    type: number,
    subject: { readonly fd?: Fd; readonly timeoutNs?: bigint; readonly clock?: number },
  ): Step =>
  (world) => {
    const { view, bytes } = world.memory;
    bytes.fill(0, AT.data, AT.data + 48);
    view.setUint8(AT.data + 8, type);
    if (subject.fd === undefined) {
      view.setUint32(AT.data + 16, subject.clock ?? 1, true);
      view.setBigUint64(AT.data + 24, subject.timeoutNs ?? 0n, true);
    } else view.setUint32(AT.data + 16, numberOf(world, subject.fd), true);
    return answered(world.calls['poll_oneoff']!(AT.data, AT.read, 1, AT.result), () => [
      u32(world),
      view.getUint16(AT.read + 8, true),
      view.getUint8(AT.read + 10),
    ]);
  };

/** A call whose one pointer, the last argument, leads out of memory. */
export const beyond = (name: string, ...args: readonly (Fd | bigint)[]): Step =>
  call(name, ...args, 0x7fff_ffff);
