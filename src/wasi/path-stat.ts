/** What stands at a path, and when it was used. */
import { readlinkSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { RIGHT } from '../abi/rights.ts';
import type { Snapshot } from '../abi/snapshot.ts';
import { beforeTimesAt } from '../handle/changes.ts';
import { setTimesOfPath } from '../handle/times.ts';
import { hostPathOf } from '../handle/walk.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { filestatOf, withTimesAs } from './fd-stat.ts';
import { heldDirectory, heldForChange } from './held.ts';
import { timesToSet } from './times-to-set.ts';
import { atPath, follows, statAtEnd } from './walking.ts';

export function pathStatCalls(
  { memory, handles, clock }: WasiEnvironment,
  { filestatBytes, writeFilestat }: Snapshot,
): Calls {
  return {
    /**
     * `path_filestat_get`: what the host knows of what stands at a path.
     *
     * Writes a filestat, 64 bytes, at `result`: of a link at the end itself, unless `lookupflags` say
     * to follow it.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory; or the path ends in `/` and names none.
     * - FAULT: the path or `result` isn't within memory.
     * - NOTCAPABLE: the path leads out of `fd`, or the right PATH_FILESTAT_GET is missing.
     * - NOENT, ACCES, LOOP, NAMETOOLONG, ILSEQ, INVAL: as for every path.
     *
     * Source: WASI snapshot preview1, `path_filestat_get`; compare fstatat(2).
     */
    path_filestat_get: (
      fd: number,
      lookupflags: number,
      path: number,
      length: number,
      result: number,
    ) => {
      const directory = heldDirectory(handles, fd, RIGHT.PATH_FILESTAT_GET);
      if (typeof directory === 'number') return directory;
      if (!memory.holds(result, filestatBytes)) return ERRNO.FAULT;
      return atPath(memory, directory, path, length, (walk) => {
        const stats = statAtEnd(walk, follows(lookupflags));
        if (typeof stats === 'number') return stats;
        const stat = withTimesAs(clock.resolutionNs, filestatOf(stats, directory.preopen));
        writeFilestat(memory.view, result >>> 0, stat);
        return ERRNO.SUCCESS;
      });
    },

    /**
     * `path_filestat_set_times`: sets times of access and modification, u64 nanoseconds since 1970, as
     * `flags` says: each to the time given, to now, or not at all.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory; or the path ends in `/` and names none.
     * - FAULT: the path isn't within memory.
     * - INVAL: `flags` sets a time twice, or has a flag that doesn't exist.
     * - NOTCAPABLE: the path leads out of `fd`, or the right PATH_FILESTAT_SET_TIMES is missing.
     * - ROFS: `fd` is read-only.
     * - NOENT, ACCES, PERM, LOOP, NAMETOOLONG, ILSEQ: as for every path.
     *
     * Source: WASI snapshot preview1, `path_filestat_set_times`; compare utimensat(2).
     */
    path_filestat_set_times: (
      fd: number,
      lookupflags: number,
      path: number,
      length: number,
      atime: bigint,
      mtime: bigint,
      flags: number,
    ) => {
      const directory = heldForChange(handles, fd, RIGHT.PATH_FILESTAT_SET_TIMES);
      if (typeof directory === 'number') return directory;
      const times = timesToSet(atime, mtime, flags, clock);
      if (typeof times === 'number') return times;
      return atPath(memory, directory, path, length, (walk) => {
        const stats = statAtEnd(walk, follows(lookupflags));
        if (typeof stats === 'number') return stats;
        const errno = beforeTimesAt({ directory, walk });
        return errno === ERRNO.SUCCESS ? setTimesOfPath(hostPathOf(walk), times) : errno;
      });
    },

    /**
     * `path_readlink`: where a symbolic link points to.
     *
     * Writes the target at `buffer`, without a NUL, cut to `size` bytes, and its bytes there, u32, at
     * `result`.
     *
     * - BADF: `fd` is not open. NOTDIR: it is no directory.
     * - FAULT: the path, the buffer or `result` isn't within memory.
     * - INVAL: there is no link at the path.
     * - NOTCAPABLE: the path leads out of `fd`, or the right PATH_READLINK is missing.
     * - NOENT, ACCES, LOOP, NAMETOOLONG, ILSEQ: as for every path.
     *
     * Source: WASI snapshot preview1, `path_readlink`; compare readlinkat(2).
     */
    path_readlink: (
      fd: number,
      path: number,
      length: number,
      buffer: number,
      size: number,
      result: number,
    ) => {
      const directory = heldDirectory(handles, fd, RIGHT.PATH_READLINK);
      if (typeof directory === 'number') return directory;
      if (!memory.holds(buffer, size) || !memory.holds(result, 4)) return ERRNO.FAULT;
      return atPath(memory, directory, path, length, (walk) => {
        if (walk.needsDirectory) {
          const stats = statAtEnd(walk, false);
          return typeof stats === 'number' ? stats : ERRNO.INVAL;
        }
        const target = readlinkSync(hostPathOf(walk), { encoding: 'buffer' });
        const used = Math.min(target.length, size >>> 0);
        memory.bytes.set(target.subarray(0, used), buffer >>> 0);
        memory.view.setUint32(result >>> 0, used, true);
        return ERRNO.SUCCESS;
      });
    },
  };
}
