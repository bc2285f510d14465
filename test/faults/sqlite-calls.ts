/**
 * SQLite's own calls of the system, shown to a watcher.
 *
 * Node has SQLite built in and no way to give it another file system. But Node's executable keeps its symbols,
 * so its tables can be found in this very process and changed, as SQLite's own crash tests put a file
 * system of theirs beneath it:
 *
 *   aSyscall         an array of { name, current function, default }, 24 bytes each: read, write, open, …
 *   posixIoMethods, nolockIoMethods   functions of an open file; xSync is the pointer at offset 40. SQLite's
 *                    sync is no entry of the first table. The pages are read-only and made writable.
 *   unixFile         int descriptor at offset 24; u16 flags at 30, of which 0x08: sync the directory once
 *
 * What SQLite does about short writes and EINTR is beneath its own functions and thereby tried too. The
 * wal-index (`-shm`) is no file that a crash leaves, and is not shown. All of it on this thread alone.
 */
import { closeSync, existsSync, openSync, readFileSync, readSync, unlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Fault, Watcher } from './disk-operation.ts';

const SYSCALL_BYTES = 24;
const SYSCALLS_MAX = 64;
const X_SYNC = 40;
const DESCRIPTOR = 24;
const FLAGS = 30;
const SYNC_DIRECTORY = 0x08;
const IOERR_FSYNC = 1034;
const PAGE = 4096n;
const PROT_READ_WRITE = 3;

const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
let watcher: Watcher | null = null;
let isInstalled = false;

/** Shows SQLite's operations to `watch` while `work` runs. One at a time. */
export async function watchingSqlite<T>(watch: Watcher, work: () => Promise<T>): Promise<T> {
  install();
  if (watcher !== null) throw new Error('SQLite is being watched already');
  watcher = watch;
  try {
    return await work();
  } finally {
    watcher = null;
  }
}

function install(): void {
  if (isInstalled) return;
  // SQLite sets its tables up when it is first used.
  new DatabaseSync(':memory:').close();
  const symbols = findSymbols(['aSyscall', 'posixIoMethods', 'nolockIoMethods']);
  const library = quietly(() =>
    ffi.dlopen(null, {
      mprotect: { arguments: ['pointer', 'uint64', 'int32'], return: 'int32' },
      open: { arguments: ['pointer', 'int32', 'int32'], return: 'int32' },
      pread: { arguments: ['int32', 'pointer', 'uint64', 'int64'], return: 'int64' },
      pwrite: { arguments: ['int32', 'pointer', 'uint64', 'int64'], return: 'int64' },
      ftruncate: { arguments: ['int32', 'int64'], return: 'int32' },
      __errno_location: { arguments: [], return: 'pointer' },
    }),
  );
  const system = library.functions;
  const paths = new Map<number, string>();
  const failed = (code: string): -1 => {
    setErrno(constants.errno[code as keyof typeof constants.errno]);
    return -1;
  };
  const setErrno = (number: number): void => ffi.setInt32(system.__errno_location(), 0, number);
  const errno = (): number => ffi.getInt32(system.__errno_location(), 0);
  const pathOf = (fd: number): string => paths.get(fd) ?? '';
  const meet = (operation: Parameters<Watcher>[0]): Fault | null =>
    watcher === null || operation.path === '' || operation.path.endsWith('-shm')
      ? null
      : watcher(operation, 'sqlite');

  const io = { arguments: ['int32', 'pointer', 'uint64', 'int64'], return: 'int64' } as const;
  replaceSyscalls(symbols.get('aSyscall')!, {
    open: library.lib.registerCallback(
      { arguments: ['pointer', 'int32', 'int32'], return: 'int32' },
      (name, flags, mode) => {
        const path = textAt(name);
        // Not by opening it: to close it again would give up this process's locks on it.
        const isNew = (flags & 0o100) !== 0 && !existsSync(path);
        const fault = meet({ kind: isNew ? 'create' : 'open', path });
        if (fault?.code) return failed(fault.code);
        const fd = system.open(name, flags, mode);
        const error = errno();
        paths.set(fd, path);
        if (fd < 0) setErrno(error);
        return fd;
      },
    ),
    pread: library.lib.registerCallback(io, (fd, into, bytes, offset) => {
      const fault = bytes === 0n ? null : meet({ kind: 'read', path: pathOf(fd) });
      if (fault?.code) return BigInt(failed(fault.code));
      return system.pread(fd, into, fault === null ? bytes : half(bytes), offset);
    }),
    pwrite: library.lib.registerCallback(io, (fd, from, bytes, offset) => {
      const content = ffi.toBuffer(from as bigint, Number(bytes), true);
      const fault = meet({ kind: 'write', path: pathOf(fd), offset: Number(offset), content });
      if (fault === null) return system.pwrite(fd, from, bytes, offset);
      if (fault.code === null) return system.pwrite(fd, from, half(bytes), offset);
      if (fault.torn) system.pwrite(fd, from, half(bytes), offset);
      return BigInt(failed(fault.code));
    }),
    ftruncate: library.lib.registerCallback(
      { arguments: ['int32', 'int64'], return: 'int32' },
      (fd, bytes) => {
        const fault = meet({ kind: 'truncate', path: pathOf(fd), bytes: Number(bytes) });
        return fault?.code ? failed(fault.code) : system.ftruncate(fd, bytes);
      },
    ),
    unlink: library.lib.registerCallback({ arguments: ['pointer'], return: 'int32' }, (name) => {
      const path = textAt(name);
      const fault = meet({ kind: 'remove', path });
      if (fault?.code) return failed(fault.code);
      try {
        unlinkSync(path);
        return 0;
      } catch {
        return failed('ENOENT');
      }
    }),
  });
  const sync = library.lib.registerCallback(
    { arguments: ['pointer', 'int32'], return: 'int32' },
    (file) => {
      const path = pathOf(ffi.getInt32(file as bigint, DESCRIPTOR));
      if (meet({ kind: 'sync', path })?.code) return IOERR_FSYNC;
      const flags = ffi.getUint16(file as bigint, FLAGS);
      if ((flags & SYNC_DIRECTORY) === 0) return 0;
      // SQLite takes no notice when this fails.
      meet({ kind: 'syncDirectory', path: dirname(path) });
      ffi.setUint16(file as bigint, FLAGS, flags & ~SYNC_DIRECTORY);
      return 0;
    },
  );
  for (const table of ['posixIoMethods', 'nolockIoMethods']) {
    const at = symbols.get(table)!;
    const from = at - (at % PAGE);
    if (system.mprotect(from, 2n * PAGE, PROT_READ_WRITE) !== 0) {
      throw new Error("SQLite's table of file operations can't be made writable");
    }
    ffi.setUint64(at, X_SYNC, sync);
  }
  isInstalled = true;
}

function replaceSyscalls(table: bigint, callbacks: Readonly<Record<string, bigint>>): void {
  const wanted = new Set(Object.keys(callbacks));
  for (let index = 0; index < SYSCALLS_MAX && wanted.size > 0; index++) {
    const at = table + BigInt(index * SYSCALL_BYTES);
    const name = textAt(ffi.getUint64(at, 0));
    if (wanted.delete(name)) ffi.setUint64(at, 8, callbacks[name]!);
  }
  if (wanted.size > 0) throw new Error(`SQLite has no call ${[...wanted].join(', ')}`);
}

/** Addresses in this process, from the symbol table of Node's executable. */
function findSymbols(names: readonly string[]): ReadonlyMap<string, bigint> {
  const fd = openSync(process.execPath, 'r');
  try {
    const read = (offset: bigint, bytes: bigint): Buffer => {
      const into = Buffer.alloc(Number(bytes));
      readSync(fd, into, 0, into.length, Number(offset));
      return into;
    };
    const head = read(0n, 64n);
    const base = head.readUInt16LE(16) === 2 ? 0n : loadAddress();
    const count = head.readUInt16LE(60);
    const sections = read(head.readBigUInt64LE(40), BigInt(count * 64));
    const part = (index: number): Buffer =>
      read(sections.readBigUInt64LE(index * 64 + 24), sections.readBigUInt64LE(index * 64 + 32));
    const index = Array.from({ length: count }, (_, at) =>
      sections.readUInt32LE(at * 64 + 4),
    ).indexOf(2);
    if (index < 0) throw new Error("this Node has no symbols: SQLite's calls can't be watched");
    const symbols = part(index);
    const texts = part(sections.readUInt32LE(index * 64 + 40));
    const found = new Map<string, bigint>();
    for (const name of names) {
      const text = texts.indexOf(`\0${name}\0`) + 1;
      for (let at = 0; at < symbols.length; at += 24) {
        if (symbols.readUInt32LE(at) === text)
          found.set(name, base + symbols.readBigUInt64LE(at + 8));
      }
      if (text === 0 || !found.has(name)) throw new Error(`this Node has no symbol ${name}`);
    }
    return found;
  } finally {
    closeSync(fd);
  }
}

function loadAddress(): bigint {
  const line = readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .find((one) => one.endsWith(process.execPath));
  return BigInt(`0x${line!.split('-')[0]}`);
}

function half(bytes: bigint): bigint {
  return bytes < 2n ? bytes : bytes / 2n;
}

function textAt(pointer: unknown): string {
  return ffi.toString(pointer as bigint) ?? '';
}

function quietly<T>(work: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return work();
  } finally {
    process.emitWarning = emitWarning;
  }
}
