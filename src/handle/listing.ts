/**
 * The entries of a directory as `fd_readdir` counts them: cookie n is the n-th entry, from 0.
 *
 * Taken anew at cookie 0 and kept as it is until then, also through a checkpoint, so a cookie means the
 * same entry whatever happens to the directory. An entry that is gone by the time it is asked for is
 * passed over.
 *
 * Looking each entry up again costs more than all the rest. So where the kernel gives inode numbers with
 * the names, they are kept, and hold for as long as the directory's time of modification stays what it was.
 * That time is only as exact as the file system's clock: a directory changed within SETTLED_NS before is
 * looked up entry by entry.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  readdirSync,
  type Stats,
} from 'node:fs';
import { FILETYPE } from '../abi/flags.ts';
import type { Anchor } from './anchor.ts';
import { type FastCalls, fastCalls } from './fast-calls.ts';

/** More than the coarsest clock of a file system in use, FAT's. */
const SETTLED_NS = 2_100_000_000n;

export interface Listing {
  /** Without `.` and `..`, which come before. Bytes as the host has them. */
  readonly names: readonly Uint8Array[];
  /** `filetype` of preview1 by entry. */
  readonly types: Uint8Array;
  /** What was found beside the names; absent where the host didn't say, and after a restore. */
  readonly found?: FoundInodes | null;
}

export interface FoundInodes {
  /** Inode numbers by entry; 0: to be looked up. */
  readonly inodes: BigUint64Array;
  /** The directory's own time of modification when they were read. */
  readonly mtimeNs: bigint;
}

/** Throws what Node throws. `nowNs`: wall clock, nanoseconds since 1970. */
export function takeListing(anchor: Anchor, nowNs: bigint): Listing {
  const native = anchor.byDescriptor ? fastCalls() : null;
  const listing = native === null ? null : listByKernel(native, anchor, nowNs);
  if (listing !== null) return listing;
  const entries = readdirSync(`${anchor.prefix}.`, { withFileTypes: true, encoding: 'buffer' });
  return {
    names: entries.map((entry) => entry.name),
    types: Uint8Array.from(entries, filetypeOf),
  };
}

/** The inode numbers of `listing` if they still hold. */
export function inodesOf(listing: Listing, anchor: Anchor): BigUint64Array | null {
  if (!listing.found) return null;
  const { mtimeNs } = fstatSync(anchor.fd, { bigint: true });
  return mtimeNs === listing.found.mtimeNs ? listing.found.inodes : null;
}

const CHUNK_BYTES = 65_536;
const chunk = new Uint8Array(CHUNK_BYTES);
const chunkView = new DataView(chunk.buffer);

/** `struct linux_dirent64`: d_ino u64 0, d_off u64 8, d_reclen u16 16, d_type u8 18, d_name 19, with a NUL. */
const DIRENT = { ino: 0, length: 16, type: 18, name: 19 } as const;

/** `d_type` of the kernel. */
const TYPES: ReadonlyMap<number, number> = new Map([
  [2, FILETYPE.CHARACTER_DEVICE],
  [4, FILETYPE.DIRECTORY],
  [6, FILETYPE.BLOCK_DEVICE],
  [8, FILETYPE.REGULAR_FILE],
  [10, FILETYPE.SYMBOLIC_LINK],
  [12, FILETYPE.SOCKET_STREAM],
]);

/** null when the kernel didn't do it: Node is asked then. */
function listByKernel(native: FastCalls, anchor: Anchor, nowNs: bigint): Listing | null {
  // The anchor itself only names the directory.
  const fd = native.openAt(anchor.fd, '.', constants.O_RDONLY | constants.O_DIRECTORY);
  if (fd < 0) return null;
  try {
    const { mtimeNs } = fstatSync(fd, { bigint: true });
    const names: Uint8Array[] = [];
    const types: number[] = [];
    const inodes: bigint[] = [];
    for (;;) {
      const used = native.readDirectory(fd, chunk);
      if (used < 0) return null;
      if (used === 0) break;
      takeEntries(chunk.slice(0, used), names, types, inodes);
    }
    const isSettled = nowNs - mtimeNs > SETTLED_NS;
    const found = isSettled && agrees(anchor, names, types, inodes);
    return {
      names,
      types: Uint8Array.from(types),
      found: found ? { inodes: BigUint64Array.from(inodes), mtimeNs } : null,
    };
  } finally {
    closeSync(fd);
  }
}

function takeEntries(
  bytes: Uint8Array,
  names: Uint8Array[],
  types: number[],
  inodes: bigint[],
): void {
  for (let at = 0; at < bytes.length; ) {
    const length = chunkView.getUint16(at + DIRENT.length, true);
    const start = at + DIRENT.name;
    const name = bytes.subarray(start, bytes.indexOf(0, start));
    if (!isDots(name)) {
      const type = TYPES.get(bytes[at + DIRENT.type]!) ?? FILETYPE.UNKNOWN;
      names.push(name);
      types.push(type);
      // Another file system may be mounted there, or the kernel doesn't know the type.
      const isSure = type !== FILETYPE.DIRECTORY && type !== FILETYPE.UNKNOWN;
      inodes.push(isSure ? chunkView.getBigUint64(at + DIRENT.ino, true) : 0n);
    }
    at += length;
  }
}

const DOT = 0x2e;

function isDots(name: Uint8Array): boolean {
  return name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));
}

/** Whether the first number is what `lstat` says: file systems in layers give others. */
function agrees(
  anchor: Anchor,
  names: readonly Uint8Array[],
  types: readonly number[],
  inodes: readonly bigint[],
): boolean {
  const index = types.indexOf(FILETYPE.REGULAR_FILE);
  if (index < 0) return false;
  const path = Buffer.concat([Buffer.from(anchor.prefix), names[index]!]);
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino === inodes[index];
}

/** `filetype` of preview1; what it has no name for, such as a pipe, is UNKNOWN. */
export function filetypeOf(entry: Stats | BigIntStats | Dirent<string | NonSharedBuffer>): number {
  if (entry.isFile()) return FILETYPE.REGULAR_FILE;
  if (entry.isDirectory()) return FILETYPE.DIRECTORY;
  if (entry.isSymbolicLink()) return FILETYPE.SYMBOLIC_LINK;
  if (entry.isCharacterDevice()) return FILETYPE.CHARACTER_DEVICE;
  if (entry.isBlockDevice()) return FILETYPE.BLOCK_DEVICE;
  if (entry.isSocket()) return FILETYPE.SOCKET_STREAM;
  return FILETYPE.UNKNOWN;
}
