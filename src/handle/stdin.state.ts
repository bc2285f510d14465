/** How stdin goes through a checkpoint: what was taken and not read goes along; the source is today's. */
import { FDFLAGS_ALL } from '../abi/flags.ts';
import { RIGHTS_ALL, RIGHTS_OF_STDIN } from '../abi/rights.ts';
import { boolean, bytes, integer, mapOf, type ShapeOf } from '../cbor/shape.ts';
import type { StdinSource } from './grants.ts';
import { type StdinHandle, UNREAD_BYTES_MAX } from './stdin.ts';

export const stdinShape = mapOf({
  unread: bytes(0, UNREAD_BYTES_MAX),
  /** A guest that saw the end of its input doesn't see more of it later. */
  ended: boolean,
  flags: integer(0, FDFLAGS_ALL),
  rights: integer(0, RIGHTS_ALL),
});

export type StdinState = ShapeOf<typeof stdinShape>;

export function captureStdin(stdin: StdinHandle): StdinState {
  const { unread, ended, flags, rights } = stdin;
  return { unread: unread.slice(), ended, flags, rights };
}

export function rebuildStdin(state: StdinState, source: StdinSource): StdinHandle {
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
