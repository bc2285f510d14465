/**
 * Rights of WASI preview1 as bits of a number (all 30 fit into an i32), and which calls need them.
 *
 * We grant generously and hold exactly: a handle gets all rights that fit its kind, except that reading
 * and writing must be asked for; what `fd_fdstat_set_rights` takes away is gone, and every call checks.
 *
 * Source: WASI snapshot preview1, `rights`.
 */
export const RIGHT = {
  FD_DATASYNC: 1 << 0,
  FD_READ: 1 << 1,
  FD_SEEK: 1 << 2,
  FD_FDSTAT_SET_FLAGS: 1 << 3,
  FD_SYNC: 1 << 4,
  FD_TELL: 1 << 5,
  FD_WRITE: 1 << 6,
  FD_ADVISE: 1 << 7,
  FD_ALLOCATE: 1 << 8,
  PATH_CREATE_DIRECTORY: 1 << 9,
  PATH_CREATE_FILE: 1 << 10,
  PATH_LINK_SOURCE: 1 << 11,
  PATH_LINK_TARGET: 1 << 12,
  PATH_OPEN: 1 << 13,
  FD_READDIR: 1 << 14,
  PATH_READLINK: 1 << 15,
  PATH_RENAME_SOURCE: 1 << 16,
  PATH_RENAME_TARGET: 1 << 17,
  PATH_FILESTAT_GET: 1 << 18,
  PATH_FILESTAT_SET_SIZE: 1 << 19,
  PATH_FILESTAT_SET_TIMES: 1 << 20,
  FD_FILESTAT_GET: 1 << 21,
  FD_FILESTAT_SET_SIZE: 1 << 22,
  FD_FILESTAT_SET_TIMES: 1 << 23,
  PATH_SYMLINK: 1 << 24,
  PATH_REMOVE_DIRECTORY: 1 << 25,
  PATH_UNLINK_FILE: 1 << 26,
  POLL_FD_READWRITE: 1 << 27,
  SOCK_SHUTDOWN: 1 << 28,
  SOCK_ACCEPT: 1 << 29,
} as const;

/** Every bit that means something. */
export const RIGHTS_ALL = 2 ** 30 - 1;

/** What only a file open for writing may have. */
export const RIGHTS_OF_WRITING: number =
  RIGHT.FD_WRITE | RIGHT.FD_ALLOCATE | RIGHT.FD_FILESTAT_SET_SIZE | RIGHT.FD_DATASYNC;

export const RIGHTS_OF_FILES: number =
  RIGHTS_OF_WRITING |
  RIGHT.FD_READ |
  RIGHT.FD_SEEK |
  RIGHT.FD_TELL |
  RIGHT.FD_SYNC |
  RIGHT.FD_ADVISE |
  RIGHT.FD_FDSTAT_SET_FLAGS |
  RIGHT.FD_FILESTAT_GET |
  RIGHT.FD_FILESTAT_SET_TIMES |
  RIGHT.POLL_FD_READWRITE;

export const RIGHTS_OF_DIRECTORIES: number =
  RIGHT.FD_FDSTAT_SET_FLAGS |
  RIGHT.FD_SYNC |
  RIGHT.FD_DATASYNC |
  RIGHT.FD_ADVISE |
  RIGHT.FD_READDIR |
  RIGHT.FD_FILESTAT_GET |
  RIGHT.FD_FILESTAT_SET_TIMES |
  RIGHT.PATH_CREATE_DIRECTORY |
  RIGHT.PATH_CREATE_FILE |
  RIGHT.PATH_LINK_SOURCE |
  RIGHT.PATH_LINK_TARGET |
  RIGHT.PATH_OPEN |
  RIGHT.PATH_READLINK |
  RIGHT.PATH_RENAME_SOURCE |
  RIGHT.PATH_RENAME_TARGET |
  RIGHT.PATH_FILESTAT_GET |
  RIGHT.PATH_FILESTAT_SET_SIZE |
  RIGHT.PATH_FILESTAT_SET_TIMES |
  RIGHT.PATH_SYMLINK |
  RIGHT.PATH_REMOVE_DIRECTORY |
  RIGHT.PATH_UNLINK_FILE |
  RIGHT.POLL_FD_READWRITE;

/** No SEEK and no TELL: `isatty` of libc takes their absence for a sign of a terminal. */
export const RIGHTS_OF_STDIN: number =
  RIGHT.FD_READ | RIGHT.FD_FDSTAT_SET_FLAGS | RIGHT.FD_FILESTAT_GET | RIGHT.POLL_FD_READWRITE;

export const RIGHTS_OF_OUTPUT: number =
  RIGHT.FD_WRITE | RIGHT.FD_FDSTAT_SET_FLAGS | RIGHT.FD_FILESTAT_GET | RIGHT.POLL_FD_READWRITE;

export const RIGHTS_OF_LISTENERS: number =
  RIGHT.SOCK_ACCEPT | RIGHT.FD_FDSTAT_SET_FLAGS | RIGHT.FD_FILESTAT_GET | RIGHT.POLL_FD_READWRITE;

export const RIGHTS_OF_CONNECTIONS: number =
  RIGHT.FD_READ |
  RIGHT.FD_WRITE |
  RIGHT.SOCK_SHUTDOWN |
  RIGHT.FD_FDSTAT_SET_FLAGS |
  RIGHT.FD_FILESTAT_GET |
  RIGHT.POLL_FD_READWRITE;

/** The rights that an i64 argument names. */
export function rightsOf(argument: bigint): number {
  return Number(BigInt.asUintN(30, argument));
}
