/**
 * How an open directory goes through a checkpoint: closed, opened again, its cookies still valid.
 *
 * Invariants:
 * 1. A granted directory is whatever today's request grants under its name. One below it must be the
 *    same inode as before.
 * 2. The listing that cookies count is captured as it is. Nothing in it is trusted: a name that is not
 *    one component is refused.
 */
import { fstatSync } from 'node:fs';
import { FDFLAGS_ALL, FILETYPE } from '../abi/flags.ts';
import { PATH_BYTES_MAX } from '../abi/guest-string.ts';
import { RIGHTS_ALL, RIGHTS_OF_DIRECTORIES, RIGHTS_OF_FILES } from '../abi/rights.ts';
import {
  boolean,
  bytes,
  i64,
  integer,
  mapOf,
  mismatch,
  nullable,
  type Shape,
  type ShapeOf,
  text,
  u64,
} from '../cbor/shape.ts';
import { type Anchor, closeAnchor, openAnchor } from './anchor.ts';
import { anchorOf, type DirectoryHandle } from './directory.ts';
import type { Listing } from './listing.ts';
import { type Inode, locate } from './locate.ts';
import type { Preopen } from './preopens.ts';
import { changed, grantedPreopen, notCapturable, refuseIfAsked } from './refusals.ts';
import { identityOf, keyOf } from './undo-record.ts';
import { endWalk, place, startWalk, walkedPath } from './walk.ts';

/** Names one after the other, each with a NUL behind it; one filetype a name. */
const listingFields = mapOf({ names: bytes(), types: bytes() });

/** Checked here, while the path to a mismatch can still be told. */
const listingShape: Shape<ShapeOf<typeof listingFields>> = (value) => {
  const listing = listingFields(value);
  if (unpack(listing) === null) throw mismatch('a listing of names');
  return listing;
};

export const directoryShape = mapOf({
  preopen: text(PATH_BYTES_MAX),
  path: text(PATH_BYTES_MAX),
  dev: u64,
  ino: u64,
  /** Nanoseconds since 1970; 0 where the host doesn't know. */
  birthtimeNs: i64,
  isPreopen: boolean,
  readOnly: boolean,
  flags: integer(0, FDFLAGS_ALL),
  rights: integer(0, RIGHTS_ALL),
  rightsInheriting: integer(0, RIGHTS_ALL),
  listing: nullable(listingShape),
});

export type DirectoryState = ShapeOf<typeof directoryShape>;

/** Throws HostError ERR_NOT_CAPTURABLE; the directory stays open in any case. */
export function captureDirectory(directory: DirectoryHandle): DirectoryState {
  const { preopen } = directory;
  if (directory.path !== '') refuseIfAsked(preopen, directory.path);
  const { fd } = anchorOf(directory);
  const stats = fstatSync(fd, { bigint: true });
  // The granted directory needs no path: wherever it is, the grant finds it.
  const path = directory.path === '' ? '' : pathOf(directory, fd, stats);
  if (path === null || (path !== '' && stats.nlink === 0n)) {
    throw notCapturable(preopen.grant, directory.path, 'was deleted or moved out of the directory');
  }
  directory.path = path;
  return {
    preopen: preopen.grant.guestPath,
    path,
    dev: stats.dev,
    ino: stats.ino,
    birthtimeNs: stats.birthtimeNs,
    isPreopen: directory.preopenName !== null,
    readOnly: directory.readOnly,
    flags: directory.flags,
    rights: directory.rights,
    rightsInheriting: directory.rightsInheriting,
    listing: directory.listing === null ? null : pack(directory.listing),
  };
}

function pathOf({ preopen, path }: DirectoryHandle, fd: number, stats: Inode): string | null {
  const { image } = preopen;
  if (image === null) return locate(preopen, path, fd, stats);
  const number = image.directoryNumber(fd);
  return number === null ? null : (image.standing(number)?.path ?? null);
}

/** Opens the directory again below today's grants. Throws HostError ERR_RESOURCE_CHANGED or _NOT_GRANTED. */
export function rebuildDirectory(
  state: DirectoryState,
  preopens: readonly Preopen[],
): DirectoryHandle {
  const preopen = grantedPreopen(preopens, state.preopen, state);
  const { anchor, path } = openAgain(state, preopen);
  const stats = fstatSync(anchor.fd, { bigint: true });
  const was = preopen.rollback?.chain.successorOf(identityOf(state)) ?? state;
  // What is in a private view was made by this process itself.
  if (path !== '' && preopen.view === null && keyOf(identityOf(stats)) !== keyOf(identityOf(was))) {
    closeAnchor(anchor);
    throw changed(preopen.grant, state.path, 'was replaced by another directory');
  }
  return {
    kind: 'directory',
    anchor,
    preopen,
    path,
    preopenName: state.isPreopen && path === '' ? preopen.grant.guestPath : null,
    readOnly: state.readOnly || preopen.grant.readOnly,
    flags: state.flags,
    rights: state.rights & RIGHTS_OF_DIRECTORIES,
    rightsInheriting: state.rightsInheriting & (RIGHTS_OF_DIRECTORIES | RIGHTS_OF_FILES),
    listing: state.listing === null ? null : unpack(state.listing),
  };
}

function openAgain(
  state: DirectoryState,
  preopen: Preopen,
): { readonly anchor: Anchor; readonly path: string } {
  const gone = () => changed(preopen.grant, state.path, 'is gone or is no directory');
  const walk = startWalk(preopen.root, state.path === '' ? '.' : state.path);
  if (typeof walk === 'number') throw gone();
  try {
    return { anchor: openAnchor(place(walk), walk.name), path: walkedPath(walk) };
  } catch {
    throw gone();
  } finally {
    endWalk(walk);
  }
}

function pack(listing: Listing): { readonly names: Uint8Array; readonly types: Uint8Array } {
  const length = listing.names.reduce((sum, name) => sum + name.length + 1, 0);
  const names = new Uint8Array(length);
  let at = 0;
  for (const name of listing.names) {
    names.set(name, at);
    at += name.length + 1;
  }
  return { names, types: listing.types };
}

/** null when a name is no component of a path, or the types don't fit. */
function unpack(packed: {
  readonly names: Uint8Array;
  readonly types: Uint8Array;
}): Listing | null {
  const names: Uint8Array[] = [];
  let start = 0;
  while (start < packed.names.length) {
    const end = packed.names.indexOf(0, start);
    if (end < 0) return null;
    const name = packed.names.subarray(start, end);
    if (!isComponent(name)) return null;
    names.push(name);
    start = end + 1;
  }
  if (names.length !== packed.types.length) return null;
  if (packed.types.some((type) => type > FILETYPE.SYMBOLIC_LINK)) return null;
  return { names, types: packed.types };
}

const SLASH = 0x2f;
const DOT = 0x2e;

function isComponent(name: Uint8Array): boolean {
  if (name.length === 0 || name.includes(SLASH)) return false;
  return !(name.length <= 2 && name.every((byte) => byte === DOT));
}
