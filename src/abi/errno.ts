/**
 * Error numbers of WASI preview1, u16, and their translation from the host's own failures.
 *
 * Source: WASI snapshot preview1, `errno`.
 */
export const ERRNO = {
  SUCCESS: 0,
  TOOBIG: 1,
  ACCES: 2,
  ADDRINUSE: 3,
  ADDRNOTAVAIL: 4,
  AFNOSUPPORT: 5,
  AGAIN: 6,
  ALREADY: 7,
  BADF: 8,
  BADMSG: 9,
  BUSY: 10,
  CANCELED: 11,
  CHILD: 12,
  CONNABORTED: 13,
  CONNREFUSED: 14,
  CONNRESET: 15,
  DEADLK: 16,
  DESTADDRREQ: 17,
  DOM: 18,
  DQUOT: 19,
  EXIST: 20,
  FAULT: 21,
  FBIG: 22,
  HOSTUNREACH: 23,
  IDRM: 24,
  ILSEQ: 25,
  INPROGRESS: 26,
  INTR: 27,
  INVAL: 28,
  IO: 29,
  ISCONN: 30,
  ISDIR: 31,
  LOOP: 32,
  MFILE: 33,
  MLINK: 34,
  MSGSIZE: 35,
  MULTIHOP: 36,
  NAMETOOLONG: 37,
  NETDOWN: 38,
  NETRESET: 39,
  NETUNREACH: 40,
  NFILE: 41,
  NOBUFS: 42,
  NODEV: 43,
  NOENT: 44,
  NOEXEC: 45,
  NOLCK: 46,
  NOLINK: 47,
  NOMEM: 48,
  NOMSG: 49,
  NOPROTOOPT: 50,
  NOSPC: 51,
  NOSYS: 52,
  NOTCONN: 53,
  NOTDIR: 54,
  NOTEMPTY: 55,
  NOTRECOVERABLE: 56,
  NOTSOCK: 57,
  NOTSUP: 58,
  NOTTY: 59,
  NXIO: 60,
  OVERFLOW: 61,
  OWNERDEAD: 62,
  PERM: 63,
  PIPE: 64,
  PROTO: 65,
  PROTONOSUPPORT: 66,
  PROTOTYPE: 67,
  RANGE: 68,
  ROFS: 69,
  SPIPE: 70,
  SRCH: 71,
  STALE: 72,
  TIMEDOUT: 73,
  TXTBSY: 74,
  XDEV: 75,
  NOTCAPABLE: 76,
} as const;

export type Errno = (typeof ERRNO)[keyof typeof ERRNO];

const BY_HOST_CODE: ReadonlyMap<string, Errno> = new Map<string, Errno>([
  ...Object.entries(ERRNO).map(([name, errno]) => [`E${name}`, errno] as const),
  // Other names of the host's.
  ['EOPNOTSUPP', ERRNO.NOTSUP],
  ['EWOULDBLOCK', ERRNO.AGAIN],
  // Node's own refusals: an argument out of range, a path with a NUL, the permission model.
  ['ERR_OUT_OF_RANGE', ERRNO.INVAL],
  ['ERR_INVALID_ARG_VALUE', ERRNO.INVAL],
  ['ERR_ACCESS_DENIED', ERRNO.ACCES],
]);

/** The errno for the `code` of a failed host call, e.g. `ENOENT`; IO when there is none of that name. */
export function errnoOfCode(code: string): Errno {
  return BY_HOST_CODE.get(code) ?? ERRNO.IO;
}

/** Whether the system, or the runtime in its name, refused something: anything else is a bug of ours. */
export function isRefusal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' && (BY_HOST_CODE.has(code) || /^E[A-Z0-9]+$/.test(code));
}

/** The errno for whatever a host call threw. */
export function errnoOf(error: unknown): Errno {
  if (typeof error !== 'object' || error === null) return ERRNO.IO;
  const code = (error as { readonly code?: unknown }).code;
  return typeof code === 'string' ? errnoOfCode(code) : ERRNO.IO;
}
