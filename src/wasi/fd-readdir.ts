/** Listing directories. */
import { fstatSync, lstatSync } from 'node:fs';
import { ERRNO, errnoOf } from '../abi/errno.ts';
import { FILETYPE } from '../abi/flags.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { SIZE, writeDirent } from '../abi/layout.ts';
import { RIGHT } from '../abi/rights.ts';
import { anchorOf, type DirectoryHandle } from '../handle/directory.ts';
import { filetypeOf, inodesOf, takeListing } from '../handle/listing.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { heldDirectory } from './held.ts';

const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);

interface Entry {
  readonly name: Uint8Array;
  readonly ino: bigint;
  readonly filetype: number;
}

export function fdReaddirCalls({ memory, handles, clock }: WasiEnvironment): Calls {
  return {
    /**
     * `fd_readdir`: entries of a directory from the one that `cookie`, u64, stands for; 0 is the first
     * and reads the directory anew. `.` and `..` come first, both with the inode of the directory:
     * what is above it is no affair of the guest's.
     *
     * Writes at `buffer` as many entries as fit: a dirent, 24 bytes, and the name, without a NUL; the
     * last may be cut. Writes the bytes used, u32, at `result`: fewer than `length` means the end.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory.
     * - FAULT: the buffer or `result` isn't within memory.
     * - NOTCAPABLE: the right FD_READDIR is missing.
     * - ACCES, IO: the host can't list it.
     *
     * Source: WASI snapshot preview1, `fd_readdir`; compare readdir(3).
     */
    fd_readdir: (fd: number, buffer: number, length: number, cookie: bigint, result: number) => {
      const directory = heldDirectory(handles, fd, RIGHT.FD_READDIR);
      if (typeof directory === 'number') return directory;
      if (!memory.holds(buffer, length) || !memory.holds(result, 4)) return ERRNO.FAULT;
      const from = BigInt.asUintN(64, cookie);
      if (from === 0n || directory.listing === null) {
        const anchor = anchorOf(directory);
        directory.listing = anchor.view?.list(anchor) ?? takeListing(anchor, clock.realtimeNs());
      }
      const used = fill(memory, directory, buffer >>> 0, length >>> 0, Number(from));
      memory.view.setUint32(result >>> 0, used, true);
      return ERRNO.SUCCESS;
    },
  };
}

/** Writes entries from number `from` on into `length` bytes at `start`; bytes used. */
function fill(
  memory: GuestMemory,
  directory: DirectoryHandle,
  start: number,
  length: number,
  from: number,
): number {
  const { listing } = directory;
  if (listing === null) return 0;
  const count = listing.names.length + 2;
  const inodes = from < count ? inodesOf(listing, anchorOf(directory)) : null;
  let used = 0;
  for (let index = from; index < count && used < length; index++) {
    const known = index < 2 ? 0n : (inodes?.[index - 2] ?? 0n);
    const entry =
      known === 0n
        ? entryAt(directory, index)
        : { name: listing.names[index - 2]!, ino: known, filetype: listing.types[index - 2]! };
    if (entry === null) continue;
    used += put(memory, start + used, length - used, entry, index + 1);
  }
  return used;
}

const dirent = new Uint8Array(SIZE.DIRENT);
const direntView = new DataView(dirent.buffer);

/** Writes one entry, cut to `room` bytes; bytes used. */
function put(memory: GuestMemory, at: number, room: number, entry: Entry, next: number): number {
  const { name, ino, filetype } = entry;
  const { bytes } = memory;
  const fields = { next: BigInt(next), ino, nameBytes: name.length, filetype };
  if (room >= SIZE.DIRENT + name.length) {
    writeDirent(memory.view, at, fields);
    bytes.set(name, at + SIZE.DIRENT);
    return SIZE.DIRENT + name.length;
  }
  writeDirent(direntView, 0, fields);
  bytes.set(dirent.subarray(0, room), at);
  if (room <= SIZE.DIRENT) return Math.min(room, SIZE.DIRENT);
  bytes.set(name.subarray(0, room - SIZE.DIRENT), at + SIZE.DIRENT);
  return Math.min(room, SIZE.DIRENT + name.length);
}

/** null when the entry is gone since the directory was read. */
function entryAt(directory: DirectoryHandle, index: number): Entry | null {
  const anchor = anchorOf(directory);
  if (index < 2) {
    const stats = fstatSync(anchor.fd, { bigint: true });
    const { ino } = anchor.view?.seenOf(stats) ?? stats;
    return { name: index === 0 ? DOT : DOT_DOT, ino, filetype: FILETYPE.DIRECTORY };
  }
  const { listing } = directory;
  const name = listing?.names[index - 2];
  if (listing === null || name === undefined) return null;
  if (anchor.view !== null) {
    const entry = anchor.view.entry(anchor, name);
    return entry === null ? null : { name, ...entry };
  }
  // Bytes that aren't UTF-8 must reach the host as they are.
  const path = Buffer.concat([Buffer.from(anchor.prefix), name]);
  try {
    const stats = lstatSync(path);
    // A double holds inode numbers up to 2^53 exactly.
    const ino = Number.isSafeInteger(stats.ino)
      ? BigInt(stats.ino)
      : lstatSync(path, { bigint: true }).ino;
    return { name, ino, filetype: filetypeOf(stats) };
  } catch (error) {
    if (errnoOf(error) === ERRNO.NOENT) return null;
    return { name, ino: 0n, filetype: listing.types[index - 2] ?? FILETYPE.UNKNOWN };
  }
}
