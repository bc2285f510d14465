/**
 * One operation on the disk, whoever does it: the vault through its file port, or SQLite. A watcher sees each
 * before it is done, and may put a fault in its place.
 */
export type DiskOperation =
  | {
      readonly kind: 'create' | 'open' | 'close' | 'list' | 'look' | 'resolve';
      readonly path: string;
    }
  | { readonly kind: 'read' | 'sync' | 'syncDirectory' | 'makeDirectory'; readonly path: string }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'link' | 'rename'; readonly path: string; readonly newPath: string }
  | { readonly kind: 'truncate'; readonly path: string; readonly bytes: number }
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly offset: number;
      readonly content: Uint8Array;
    };

/** What happens instead. */
export interface Fault {
  /** The system's name of the error; null: only half is read or written, which is no error. */
  readonly code: string | null;
  /** For a write: whether half of the bytes get onto the disk all the same. */
  readonly torn?: boolean;
}

/** Called before each operation; null lets it be done. It must not throw. */
export type Watcher = (operation: DiskOperation, by: 'port' | 'sqlite') => Fault | null;

/** Operations that change what a crash leaves. */
export function isLasting({ kind }: DiskOperation): boolean {
  return !['open', 'close', 'list', 'look', 'resolve', 'read'].includes(kind);
}
