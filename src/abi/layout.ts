/**
 * Structures of WASI preview1 in guest memory: sizes, and writers for what calls give back.
 *
 * All little-endian. A writer's caller has checked that the structure lies within memory.
 *
 *   iovec, ciovec  8   buf u32 0, buf_len u32 4
 *   prestat        8   tag u8 0, pr_name_len u32 4
 *   fdstat        24   fs_filetype u8 0, fs_flags u16 2, fs_rights_base u64 8, fs_rights_inheriting u64 16
 *   filestat      64   dev u64 0, ino u64 8, filetype u8 16, nlink u64 24, size u64 32,
 *                      atim u64 40, mtim u64 48, ctim u64 56 (nanoseconds since 1970)
 *   dirent        24   d_next u64 0, d_ino u64 8, d_namlen u32 16, d_type u8 20; then the name
 *   subscription  48   userdata u64 0, tag u8 8; clock: id u32 16, timeout u64 24, precision u64 32,
 *                      flags u16 40; fd_read, fd_write: file_descriptor u32 16
 *   event         32   userdata u64 0, error u16 8, type u8 10, nbytes u64 16, flags u16 24
 *
 * Source: WASI snapshot preview1, "Types"; padding is written as zeros.
 */
export const SIZE = {
  IOVEC: 8,
  PRESTAT: 8,
  FDSTAT: 24,
  FILESTAT: 64,
  DIRENT: 24,
  SUBSCRIPTION: 48,
  EVENT: 32,
} as const;

export interface Fdstat {
  readonly filetype: number;
  readonly flags: number;
  readonly rights: number;
  readonly rightsInheriting: number;
}

export function writeFdstat(view: DataView, at: number, fdstat: Fdstat): void {
  view.setUint16(at, fdstat.filetype, true);
  view.setUint32(at + 2, fdstat.flags, true);
  view.setUint16(at + 6, 0, true);
  view.setUint32(at + 8, fdstat.rights, true);
  view.setUint32(at + 12, 0, true);
  view.setUint32(at + 16, fdstat.rightsInheriting, true);
  view.setUint32(at + 20, 0, true);
}

export interface Filestat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly filetype: number;
  readonly nlink: bigint;
  readonly size: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export function writeFilestat(view: DataView, at: number, filestat: Filestat): void {
  view.setBigUint64(at, filestat.dev, true);
  view.setBigUint64(at + 8, filestat.ino, true);
  view.setBigUint64(at + 16, BigInt(filestat.filetype), true);
  view.setBigUint64(at + 24, filestat.nlink, true);
  view.setBigUint64(at + 32, filestat.size, true);
  view.setBigUint64(at + 40, filestat.atimeNs, true);
  view.setBigUint64(at + 48, filestat.mtimeNs, true);
  view.setBigUint64(at + 56, filestat.ctimeNs, true);
}

export interface Dirent {
  readonly next: bigint;
  readonly ino: bigint;
  readonly nameBytes: number;
  readonly filetype: number;
}

export function writeDirent(view: DataView, at: number, dirent: Dirent): void {
  view.setBigUint64(at, dirent.next, true);
  view.setBigUint64(at + 8, dirent.ino, true);
  view.setUint32(at + 16, dirent.nameBytes, true);
  view.setUint32(at + 20, dirent.filetype, true);
}

export interface Event {
  readonly userdata: bigint;
  readonly error: number;
  readonly type: number;
  /** Of FD_READ and FD_WRITE only, as is `flags`. */
  readonly nbytes: bigint;
  readonly flags: number;
}

export function writeEvent(view: DataView, at: number, event: Event): void {
  view.setBigUint64(at, event.userdata, true);
  view.setUint16(at + 8, event.error, true);
  view.setUint16(at + 10, event.type, true);
  view.setUint32(at + 12, 0, true);
  view.setBigUint64(at + 16, event.nbytes, true);
  view.setBigUint64(at + 24, BigInt(event.flags), true);
}
