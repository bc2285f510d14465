/**
 * How stdin goes through a checkpoint: what was taken and not read goes along; the source is today's, and
 * goes on where the guest stood if it is the same file.
 */
import { FDFLAGS_ALL } from '../abi/flags.ts';
import { RIGHTS_ALL, RIGHTS_OF_STDIN } from '../abi/rights.ts';
import { boolean, bytes, i64, integer, mapOf, nullable, type ShapeOf, u64 } from '../cbor/shape.ts';
import type { Reason } from '../resource/provider.ts';
import type { StdinSource } from './grants.ts';
import { type StdinHandle, UNREAD_BYTES_MAX } from './stdin.ts';

export const stdinShape = mapOf({
  unread: bytes(0, UNREAD_BYTES_MAX),
  /** A guest that saw the end of its input doesn't see more of it later. */
  ended: boolean,
  /** Where a stdin that is a file stands; null for one that has no place to come back to. */
  position: nullable(mapOf({ dev: u64, ino: u64, birthtimeNs: i64, offsetBytes: integer(0) })),
  flags: integer(0, FDFLAGS_ALL),
  rights: integer(0, RIGHTS_ALL),
});

export type StdinState = ShapeOf<typeof stdinShape>;

export function captureStdin(stdin: StdinHandle): StdinState {
  const { unread, ended, flags, rights } = stdin;
  return { unread: unread.slice(), ended, position: stdin.source.position(), flags, rights };
}

/**
 * In another process a stdin that is the same file goes on where it stood. In the same one it stands
 * there already, or where others who share it went meanwhile.
 */
export function rebuildStdin(state: StdinState, source: StdinSource, reason: Reason): StdinHandle {
  const isElsewhere = reason === 'restarted' || reason === 'cloned';
  if (state.position !== null && isElsewhere) source.moveTo(state.position);
  return {
    kind: 'stdin',
    source,
    unread: state.unread.slice(),
    ended: state.ended,
    flags: state.flags,
    rights: state.rights & RIGHTS_OF_STDIN,
    rightsInheriting: 0,
  };
}
