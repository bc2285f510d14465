/**
 * What is written down before a guest changes something below a directory that is rolled back: how it was.
 *
 * Paths are below the granted directory `dir` (its name in the guest), as they are when the record is
 * written; the records after it, undone before it, bring the names back to that moment.
 *
 *   touched   an old file is about to change for the first time: its size and times
 *   bytes     a part of an old file that is about to be overwritten or cut off
 *   zeros     the same, for a part that holds nothing but zeros
 *   times     a directory is about to get or lose a name, or a thing's times are about to be set
 *   making    a name is about to be made; undone only if nothing more is known of it
 *   made      what was made there
 *   removed   a name is about to go: what it was, and where it is kept
 *   renamed   a name is about to become another one
 */
import { PATH_BYTES_MAX } from '../abi/guest-string.ts';
import {
  boolean,
  bytes,
  i64,
  integer,
  mapOf,
  nullable,
  oneOf,
  type ShapeOf,
  text,
  tupleOf,
  u64,
  variantOf,
} from '../cbor/shape.ts';

const path = text(PATH_BYTES_MAX * 2);

/** A thing on the host's disk, as far as it can be told from another one. */
const identity = mapOf({ dev: u64, ino: u64, birthtimeNs: i64 });

/** Where an old thing is: below `dir`, or, when its name is gone, thing [interval, number] that is kept. */
const where = mapOf({ dir: path, path, kept: nullable(tupleOf(integer(0), integer(0))), identity });

const kind = oneOf('file', 'directory', 'link');

export const undoRecordShape = variantOf('change', {
  touched: mapOf({
    change: oneOf('touched'),
    where,
    sizeBytes: integer(0),
    atimeNs: i64,
    mtimeNs: i64,
  }),
  bytes: mapOf({ change: oneOf('bytes'), where, start: integer(0), bytes: bytes(1) }),
  zeros: mapOf({ change: oneOf('zeros'), where, start: integer(0), lengthBytes: integer(1) }),
  times: mapOf({ change: oneOf('times'), where, atimeNs: i64, mtimeNs: i64 }),
  making: mapOf({ change: oneOf('making'), dir: path, path, kind }),
  made: mapOf({ change: oneOf('made'), where, kind }),
  removed: mapOf({
    change: oneOf('removed'),
    where,
    kind,
    mode: integer(0, 0o7777),
    atimeNs: i64,
    mtimeNs: i64,
    /** Of a symbolic link. */
    target: nullable(text(PATH_BYTES_MAX)),
    /** It had another name, which may be all that is left of it. */
    hasOthers: boolean,
  }),
  renamed: mapOf({
    change: oneOf('renamed'),
    where,
    toDir: path,
    toPath: path,
    /** It did not exist when the interval began: it may be gone by the end of it. */
    isNew: boolean,
  }),
});

export type UndoRecord = ShapeOf<typeof undoRecordShape>;
export type Identity = ShapeOf<typeof identity>;
export type Where = ShapeOf<typeof where>;
export type MadeKind = ShapeOf<typeof kind>;

export function identityOf(stats: {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly birthtimeNs: bigint;
}): Identity {
  return { dev: stats.dev, ino: stats.ino, birthtimeNs: stats.birthtimeNs };
}

export function keyOf({ dev, ino, birthtimeNs }: Identity): string {
  return `${dev}:${ino}:${birthtimeNs}`;
}
