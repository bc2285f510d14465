/**
 * Where the two snapshots of WASI that programs were built for differ. Everything else is the same in
 * both: numbers, names, the other structures, and the calls, but for `sock_accept`, which came later.
 *
 *   preview1 `wasi_snapshot_preview1`: filestat and subscription as in `layout.ts`
 *   snapshot 0 `wasi_unstable`, little-endian:
 *     filestat      56   dev u64 0, ino u64 8, filetype u8 16, nlink u32 20, size u64 24,
 *                        atim u64 32, mtim u64 40, ctim u64 48
 *     subscription  56   userdata u64 0, tag u8 8; clock: identifier u64 16, id u32 24,
 *                        timeout u64 32, precision u64 40, flags u16 48; fd_read, fd_write:
 *                        file_descriptor u32 16
 *     whence             CUR 0, END 1, SET 2
 *
 * Source: WASI `phases/old/snapshot_0` and `phases/snapshot`, "Types".
 */
import { type Filestat, SIZE, writeFilestat } from './layout.ts';

export interface Snapshot {
  readonly filestatBytes: number;
  readonly writeFilestat: (view: DataView, at: number, filestat: Filestat) => void;
  readonly whence: { readonly SET: number; readonly CUR: number; readonly END: number };
  /** A subscription's size, and where a clock's fields are in it. */
  readonly subscription: {
    readonly bytes: number;
    readonly clockId: number;
    readonly timeout: number;
    readonly clockFlags: number;
  };
}

export const PREVIEW1: Snapshot = {
  filestatBytes: SIZE.FILESTAT,
  writeFilestat,
  whence: { SET: 0, CUR: 1, END: 2 },
  subscription: { bytes: SIZE.SUBSCRIPTION, clockId: 16, timeout: 24, clockFlags: 40 },
};

export const SNAPSHOT0: Snapshot = {
  filestatBytes: 56,
  writeFilestat: (view, at, filestat) => {
    view.setBigUint64(at, filestat.dev, true);
    view.setBigUint64(at + 8, filestat.ino, true);
    view.setUint32(at + 16, filestat.filetype, true);
    view.setUint32(at + 20, linkCount(filestat.nlink), true);
    view.setBigUint64(at + 24, filestat.size, true);
    view.setBigUint64(at + 32, filestat.atimeNs, true);
    view.setBigUint64(at + 40, filestat.mtimeNs, true);
    view.setBigUint64(at + 48, filestat.ctimeNs, true);
  },
  whence: { SET: 2, CUR: 0, END: 1 },
  subscription: { bytes: 56, clockId: 24, timeout: 32, clockFlags: 48 },
};

/** More links than fit are as many as fit. */
function linkCount(nlink: bigint): number {
  return nlink > 0xffff_ffffn ? 0xffff_ffff : Number(nlink);
}
