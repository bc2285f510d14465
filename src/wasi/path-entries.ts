/** Making, moving and removing names. */
import { linkSync, mkdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { ERRNO, type Errno } from '../abi/errno.ts';
import { RIGHT } from '../abi/rights.ts';
import { linkName, makeName, type Place, removeName, renameName } from '../handle/changes.ts';
import { makeLink } from '../handle/make-link.ts';
import { hostPathOf, type Walk } from '../handle/walk.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { guestPath } from './guest-path.ts';
import { heldForChange } from './held.ts';
import { atPath, checkNewName, follows, statAtEnd, statHere } from './walking.ts';

export function pathEntriesCalls({ memory, handles }: WasiEnvironment): Calls {
  /** Does `work` where a path below `fd` leads, if `fd` may be changed. */
  const changeAt = (
    fd: number,
    right: number,
    path: number,
    length: number,
    work: (walk: Walk, place: Place) => Errno,
  ): Errno => {
    const directory = heldForChange(handles, fd, right);
    return typeof directory === 'number'
      ? directory
      : atPath(memory, directory, path, length, (walk) => work(walk, { directory, walk }));
  };

  return {
    /**
     * `path_create_directory`: makes a directory.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory. ROFS: it is read-only.
     * - FAULT: the path isn't within memory.
     * - NOTCAPABLE: the path leads out of `fd`, or the right PATH_CREATE_DIRECTORY is missing.
     * - EXIST, NOENT, ACCES, LOOP, NAMETOOLONG, NOSPC, ILSEQ, INVAL: as the host says.
     *
     * Source: WASI snapshot preview1, `path_create_directory`; compare mkdirat(2).
     */
    path_create_directory: (fd: number, path: number, length: number) =>
      changeAt(fd, RIGHT.PATH_CREATE_DIRECTORY, path, length, (walk, place) => {
        if (walk.name === '.') return ERRNO.EXIST;
        return makeName(place, 'directory', () => {
          mkdirSync(hostPathOf(walk), 0o777);
          return ERRNO.SUCCESS;
        });
      }),

    /**
     * `path_remove_directory`: removes an empty directory.
     *
     * - BADF: `fd` is not open. NOTDIR: it or what the path names is no directory. ROFS: read-only.
     * - FAULT: the path isn't within memory.
     * - INVAL: the path ends in `.`. NOTEMPTY: it is not empty, or the path ends in `..`.
     * - NOTCAPABLE: the path leads out of `fd`, or the right PATH_REMOVE_DIRECTORY is missing.
     * - NOENT, ACCES, BUSY, LOOP, NAMETOOLONG, ILSEQ: as the host says.
     *
     * Source: WASI snapshot preview1, `path_remove_directory`; compare unlinkat(2) with AT_REMOVEDIR.
     */
    path_remove_directory: (fd: number, path: number, length: number) =>
      changeAt(fd, RIGHT.PATH_REMOVE_DIRECTORY, path, length, (walk, place) => {
        if (walk.name === '.') return walk.endsAbove ? ERRNO.NOTEMPTY : ERRNO.INVAL;
        return removeName(place, () => rmdirSync(hostPathOf(walk)));
      }),

    /**
     * `path_unlink_file`: removes a name of a file or a link; a file that is open lives on unnamed.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory; or the path ends in `/` and names none.
     * - ISDIR: the path names a directory. ROFS: `fd` is read-only.
     * - FAULT: the path isn't within memory.
     * - NOTCAPABLE: the path leads out of `fd`, or the right PATH_UNLINK_FILE is missing.
     * - NOENT, ACCES, PERM, LOOP, NAMETOOLONG, ILSEQ, INVAL: as the host says.
     *
     * Source: WASI snapshot preview1, `path_unlink_file`; compare unlinkat(2).
     */
    path_unlink_file: (fd: number, path: number, length: number) =>
      changeAt(fd, RIGHT.PATH_UNLINK_FILE, path, length, (walk, place) => {
        if (walk.name === '.') return ERRNO.ISDIR;
        if (walk.needsDirectory) {
          const stats = statHere(walk);
          if (stats === null) return ERRNO.NOENT;
          return stats.isDirectory() ? ERRNO.ISDIR : ERRNO.NOTDIR;
        }
        return removeName(place, () => unlinkSync(hostPathOf(walk)));
      }),

    /**
     * `path_rename`: moves a name, in place of another if there is one.
     *
     * - BADF: `fd` or `newFd` is not open. NOTDIR: one of them is no directory; a path ends in `/` and
     *   what is moved is none; a directory in place of something else.
     * - ISDIR: something else in place of a directory. NOTEMPTY, EXIST: that one is not empty.
     * - FAULT: a path isn't within memory. ROFS: one of the directories is read-only.
     * - NOTCAPABLE: a path leads out, or the right PATH_RENAME_SOURCE or _TARGET is missing.
     * - NOENT, ACCES, BUSY, INVAL, XDEV, LOOP, NAMETOOLONG, ILSEQ: as the host says.
     *
     * Source: WASI snapshot preview1, `path_rename`; compare renameat(2).
     */
    path_rename: (
      fd: number,
      path: number,
      length: number,
      newFd: number,
      newPath: number,
      newLength: number,
    ) =>
      changeAt(fd, RIGHT.PATH_RENAME_SOURCE, path, length, (from, fromPlace) =>
        changeAt(newFd, RIGHT.PATH_RENAME_TARGET, newPath, newLength, (to, toPlace) => {
          if (from.name === '.' || to.name === '.') return ERRNO.BUSY;
          if (from.needsDirectory || to.needsDirectory) {
            const stats = statHere(from);
            if (stats === null) return ERRNO.NOENT;
            if (!stats.isDirectory()) return ERRNO.NOTDIR;
          }
          return renameName(fromPlace, toPlace, () => renameSync(hostPathOf(from), hostPathOf(to)));
        }),
      ),

    /**
     * `path_link`: gives a file another name. A link at the end of the old path gets one itself, unless
     * `lookupflags` say to follow it.
     *
     * A name in a writable directory would open a file of a read-only one for writing: both directories
     * must be writable.
     *
     * - BADF: `fd` or `newFd` is not open. NOTDIR: one of them is no directory; a path ends in `/`.
     * - FAULT: a path isn't within memory. ROFS: one of the directories is read-only.
     * - NOTCAPABLE: a path leads out, or the right PATH_LINK_SOURCE or _TARGET is missing.
     * - PERM: the old path names a directory. EXIST: the new path names something.
     * - NOENT, ACCES, XDEV, MLINK, LOOP, NAMETOOLONG, ILSEQ, INVAL: as the host says.
     *
     * Source: WASI snapshot preview1, `path_link`; compare linkat(2).
     */
    path_link: (
      fd: number,
      lookupflags: number,
      path: number,
      length: number,
      newFd: number,
      newPath: number,
      newLength: number,
    ) =>
      changeAt(fd, RIGHT.PATH_LINK_SOURCE, path, length, (from, fromPlace) => {
        const stats = statAtEnd(from, follows(lookupflags));
        if (typeof stats === 'number') return stats;
        return changeAt(newFd, RIGHT.PATH_LINK_TARGET, newPath, newLength, (to, toPlace) => {
          const errno = checkNewName(to);
          if (errno !== ERRNO.SUCCESS) return errno;
          if (stats.isDirectory()) return statHere(to) === null ? ERRNO.PERM : ERRNO.EXIST;
          return linkName(fromPlace, toPlace, () => linkSync(hostPathOf(from), hostPathOf(to)));
        });
      }),

    /**
     * `path_symlink`: makes a symbolic link to `target`, which need not exist.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory; or the path ends in `/`. ROFS: read-only.
     * - FAULT: `target` or the path isn't within memory.
     * - NOTCAPABLE: `target` is absolute: no guest could follow it, others would; or the path leads out
     *   of `fd`, or the right PATH_SYMLINK is missing.
     * - NOENT: `target` is empty. EXIST: the path names something. NOTSUP: the host can't.
     * - ACCES, LOOP, NAMETOOLONG, NOSPC, ILSEQ, INVAL: as the host says.
     *
     * Source: WASI snapshot preview1, `path_symlink`; compare symlinkat(2).
     */
    path_symlink: (
      target: number,
      targetLength: number,
      fd: number,
      path: number,
      length: number,
    ) => {
      const text = guestPath(memory, target, targetLength);
      if (typeof text !== 'string') return text;
      if (text.startsWith('/')) return ERRNO.NOTCAPABLE;
      return changeAt(fd, RIGHT.PATH_SYMLINK, path, length, (walk, place) => {
        const errno = checkNewName(walk);
        if (errno !== ERRNO.SUCCESS) return errno;
        return makeName(place, 'link', () => makeLink(text, hostPathOf(walk)));
      });
    },
  };
}
