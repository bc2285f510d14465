/**
 * The small enumerations and flag sets of WASI preview1.
 *
 * Source: WASI snapshot preview1, under the names in lower case.
 */
export const FILETYPE = {
  UNKNOWN: 0,
  BLOCK_DEVICE: 1,
  CHARACTER_DEVICE: 2,
  DIRECTORY: 3,
  REGULAR_FILE: 4,
  SOCKET_DGRAM: 5,
  SOCKET_STREAM: 6,
  SYMBOLIC_LINK: 7,
} as const;

export const FDFLAGS = { APPEND: 1, DSYNC: 2, NONBLOCK: 4, RSYNC: 8, SYNC: 16 } as const;
export const FDFLAGS_ALL = 31;

export const OFLAGS = { CREAT: 1, DIRECTORY: 2, EXCL: 4, TRUNC: 8 } as const;
export const OFLAGS_ALL = 15;

export const LOOKUPFLAGS = { SYMLINK_FOLLOW: 1 } as const;

export const FSTFLAGS = { ATIM: 1, ATIM_NOW: 2, MTIM: 4, MTIM_NOW: 8 } as const;
export const FSTFLAGS_ALL = 15;

/** NORMAL to NOREUSE. */
export const ADVICE_MAX = 5;

export const CLOCKID = {
  REALTIME: 0,
  MONOTONIC: 1,
  PROCESS_CPUTIME: 2,
  THREAD_CPUTIME: 3,
} as const;

export const EVENTTYPE = { CLOCK: 0, FD_READ: 1, FD_WRITE: 2 } as const;
export const SUBCLOCKFLAGS = { ABSTIME: 1 } as const;
export const EVENTRWFLAGS = { HANGUP: 1 } as const;

/** The tag of a preopened directory in `prestat`. */
export const PREOPENTYPE_DIR = 0;

/**
 * The tag of anything else that a guest was started with. The specification has only directories; the C
 * library, and Go's, pass over what is none and go on with the next number, where BADF would end their
 * search for directories.
 */
export const PREOPENTYPE_OTHER = 1;

/** `riflags`, `roflags` and `sdflags` of sockets. */
export const RIFLAGS = { PEEK: 1, WAITALL: 2 } as const;
export const RIFLAGS_ALL = 3;
export const SDFLAGS = { RD: 1, WR: 2 } as const;
export const SDFLAGS_ALL = 3;

/** Highest number of `signal`: SYS. */
export const SIGNAL_MAX = 30;
