/** Opening files and directories. */
import { constants } from 'node:fs';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import { FDFLAGS_ALL, OFLAGS, OFLAGS_ALL } from '../abi/flags.ts';
import {
  RIGHT,
  RIGHTS_OF_DIRECTORIES,
  RIGHTS_OF_FILES,
  RIGHTS_OF_WRITING,
  rightsOf,
} from '../abi/rights.ts';
import { type Anchor, closeAnchor, openAnchor } from '../handle/anchor.ts';
import { openName } from '../handle/changes.ts';
import type { DirectoryHandle } from '../handle/directory.ts';
import { type FileHandle, openFlags, openRegularFileIn } from '../handle/file.ts';
import { ENTRY_BYTES } from '../handle/kept-bytes.ts';
import { followLink, place, type Walk, walkedPath } from '../handle/walk.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { heldDirectory } from './held.ts';
import { atPath, follows, statHere } from './walking.ts';

/** What a call asks for, checked against what the directory may pass on. */
interface Request {
  readonly follow: boolean;
  readonly oflags: number;
  readonly rights: number;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Writing itself was asked for. */
  readonly writes: boolean;
  readonly flags: number;
}

export function pathOpenCalls({ memory, handles }: WasiEnvironment): Calls {
  return {
    /**
     * `path_open`: opens a file or directory below the directory `fd`, at the lowest free number.
     *
     * Reading and writing must be among `rightsBase`, i64, for the handle to do so. With writing come
     * making room and setting the size, which may be asked for without it, too; of the other rights it
     * gets all that fit it and that `fd` passes on. `lookupflags` say whether a link at the end of
     * the path is followed; one before the end always is. Writes the number, u32, at `result`.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory; a directory is asked for and none is there.
     * - FAULT: the path or `result` isn't within memory. INVAL: flags that don't exist, or another
     *   one with DIRECTORY; a NUL in the path. ILSEQ: the path isn't UTF-8.
     * - NOTCAPABLE: the path leads out of `fd`, or `fd` doesn't have a right that this needs.
     * - ROFS: `fd` is read-only, and this would write, create or cut.
     * - MFILE: too many handles are open. LOOP: a link at the end, not followed; or too many links.
     * - ISDIR: a directory is there, and this would write, create or cut.
     * - NOENT, EXIST, ACCES, NAMETOOLONG, NOSPC: as the host says.
     * - NXIO: neither a file nor a directory: pipes, devices and sockets can't be opened.
     *
     * Source: WASI snapshot preview1, `path_open`; compare openat(2).
     */
    path_open: (
      fd: number,
      lookupflags: number,
      path: number,
      length: number,
      oflags: number,
      rightsBase: bigint,
      _rightsInheriting: bigint,
      fdflags: number,
      result: number,
    ) => {
      const directory = heldDirectory(handles, fd, RIGHT.PATH_OPEN);
      if (typeof directory === 'number') return directory;
      if (!memory.holds(result, 4)) return ERRNO.FAULT;
      if ((oflags & ~OFLAGS_ALL) !== 0 || (fdflags & ~FDFLAGS_ALL) !== 0) return ERRNO.INVAL;
      const follow = follows(lookupflags);
      const asked = rightsOf(rightsBase);
      const request = check(directory, asked, oflags, fdflags, follow);
      if (typeof request === 'number') return request;
      if (handles.refuses(true)) return ERRNO.MFILE;
      if (oflags & (OFLAGS.CREAT | OFLAGS.TRUNC)) directory.preopen.kept?.take(ENTRY_BYTES);
      return atPath(memory, directory, path, length, (walk) => {
        const opened = open(directory, request, walk);
        if (typeof opened === 'number') return opened;
        const number = handles.insert(opened) ?? 0;
        memory.view.setUint32(result >>> 0, number, true);
        return ERRNO.SUCCESS;
      });
    },
  };
}

function check(
  directory: DirectoryHandle,
  asked: number,
  oflags: number,
  flags: number,
  follow: boolean,
): Request | Errno {
  const wantsDirectory = (oflags & OFLAGS.DIRECTORY) !== 0;
  if (wantsDirectory && oflags !== OFLAGS.DIRECTORY) return ERRNO.INVAL;
  const passedOn = directory.rightsInheriting;
  const wanted = asked & (RIGHT.FD_READ | RIGHT.FD_WRITE);
  if ((wanted & passedOn) !== wanted) return ERRNO.NOTCAPABLE;
  let needed = 0;
  if (oflags & OFLAGS.CREAT) needed |= RIGHT.PATH_CREATE_FILE;
  if (oflags & OFLAGS.TRUNC) needed |= RIGHT.PATH_FILESTAT_SET_SIZE;
  if ((directory.rights & needed) !== needed) return ERRNO.NOTCAPABLE;
  const writes = (wanted & RIGHT.FD_WRITE) !== 0;
  if (directory.readOnly && (writes || oflags & OFLAGS.TRUNC)) return ERRNO.ROFS;
  // Rights to change a file in other ways than by writing need a file that is open for writing, too.
  const changes = (asked & passedOn & (RIGHT.FD_ALLOCATE | RIGHT.FD_FILESTAT_SET_SIZE)) !== 0;
  return {
    follow,
    oflags,
    rights: asked,
    readable: (asked & RIGHT.FD_READ) !== 0,
    writable: writes || (changes && !directory.readOnly && !wantsDirectory),
    writes,
    flags,
  };
}

/** Opens what is at the end of the walk, following links as asked. */
function open(
  directory: DirectoryHandle,
  request: Request,
  walk: Walk,
): FileHandle | DirectoryHandle | Errno {
  for (;;) {
    const found = openHere(directory, request, walk);
    if (found !== ERRNO.LOOP) return found;
    if (!request.follow && !walk.needsDirectory) {
      return request.oflags & OFLAGS.DIRECTORY ? ERRNO.NOTDIR : ERRNO.LOOP;
    }
    const errno = followLink(walk);
    // INVAL: somebody put something else there meanwhile; try again.
    if (errno !== ERRNO.SUCCESS && errno !== ERRNO.INVAL) return errno;
  }
}

/** Opens `walk.name` itself; LOOP when it is a link. */
function openHere(
  directory: DirectoryHandle,
  request: Request,
  walk: Walk,
): FileHandle | DirectoryHandle | Errno {
  const { oflags } = request;
  if (oflags & OFLAGS.DIRECTORY) return openDirectory(directory, request, walk);
  if (walk.needsDirectory || walk.name === '.') {
    if ((oflags & OFLAGS.CREAT) === 0) return openDirectory(directory, request, walk);
    return walk.name === '.' && oflags & OFLAGS.EXCL ? ERRNO.EXIST : ERRNO.ISDIR;
  }
  const access = openFlags(request);
  let created = 0;
  if (oflags & OFLAGS.CREAT && !directory.readOnly) {
    created = constants.O_CREAT;
    if (oflags & OFLAGS.EXCL) created |= constants.O_EXCL;
  }
  const cut = oflags & OFLAGS.TRUNC ? constants.O_TRUNC : 0;
  const intent = {
    creates: created !== 0,
    exclusive: (oflags & OFLAGS.EXCL) !== 0,
    cuts: cut !== 0,
    writes: request.writable,
  };
  const hostFd = openName({ directory, walk }, intent, () =>
    openRegularFileIn(place(walk), walk.name, access | created | cut),
  );
  if (hostFd >= 0) return fileHandle(directory, request, walk, hostFd, cut !== 0);
  const errno = -hostFd as Errno;
  if (errno === ERRNO.NOENT && oflags & OFLAGS.CREAT && directory.readOnly) return ERRNO.ROFS;
  const asFile = request.writable || created !== 0 || cut !== 0;
  return errno === ERRNO.ISDIR && !asFile ? openDirectory(directory, request, walk) : errno;
}

function fileHandle(
  directory: DirectoryHandle,
  request: Request,
  walk: Walk,
  hostFd: number,
  cut: boolean,
): FileHandle {
  const { readable, writable, flags } = request;
  let rights = RIGHTS_OF_FILES & directory.rightsInheriting;
  if (!readable) rights &= ~RIGHT.FD_READ;
  // Whoever asks to write may do what writing amounts to; programs seldom ask for that by itself.
  if (!request.writes) rights &= ~RIGHTS_OF_WRITING | (writable ? request.rights : 0);
  return {
    kind: 'file',
    hostFd,
    preopen: directory.preopen,
    path: joined(directory, walk),
    offsetBytes: 0,
    flags,
    rights,
    rightsInheriting: 0,
    readable,
    writable,
    unsynced: cut,
  };
}

function openDirectory(
  directory: DirectoryHandle,
  request: Request,
  walk: Walk,
): DirectoryHandle | Errno {
  let anchor: Anchor;
  try {
    anchor = openAnchor(place(walk), walk.name);
  } catch (error) {
    const errno = errnoOf(error);
    // The host says NOTDIR of links, too.
    return errno === ERRNO.NOTDIR && statHere(walk)?.isSymbolicLink() ? ERRNO.LOOP : errno;
  }
  if (request.writes || request.oflags & OFLAGS.TRUNC) {
    closeAnchor(anchor);
    return ERRNO.ISDIR;
  }
  return {
    kind: 'directory',
    anchor,
    preopen: directory.preopen,
    path: joined(directory, walk),
    preopenName: null,
    readOnly: directory.readOnly,
    flags: request.flags,
    rights: RIGHTS_OF_DIRECTORIES & directory.rightsInheriting,
    rightsInheriting: directory.rightsInheriting,
    listing: null,
  };
}

/** From the preopened directory. */
function joined(directory: DirectoryHandle, walk: Walk): string {
  const below = walkedPath(walk);
  if (directory.path === '' || below === '') return directory.path + below;
  return `${directory.path}/${below}`;
}
