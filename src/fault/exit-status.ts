/**
 * Exit statuses of the command line, in one table; `docs/errors.md` explains each.
 *
 * A guest that exits by itself gives its own status. Host failures have 125, 126 or 127, by code: see
 * `codes.ts`. The statuses between are for endings that are neither.
 */
export const EXIT_STATUS = {
  success: 0,
  checkpointLimit: 110,
  privateLimit: 111,
  randomLimit: 112,
  subscriptionLimit: 113,
  iovecLimit: 114,
  pathLimit: 115,
  fileLimit: 116,
  handleLimit: 117,
  tableLimit: 118,
  outputLimit: 120,
  outOfFuel: 121,
  memoryLimit: 122,
  trap: 123,
  deadline: 124,
  hostFailure: 125,
  notRunnable: 126,
  noSuchFile: 127,
  /** Plus the signal's number. */
  signalBase: 128,
} as const;

/** Numbers of the signals that end a guest here, as POSIX and every system we run on have them. */
export const SIGNAL_NUMBER = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
} as const;

export type SignalName = keyof typeof SIGNAL_NUMBER;

/** Exit status for a guest that a signal ended; an unlisted signal counts as SIGKILL. */
export function signalStatus(signal: string): number {
  const known = Object.hasOwn(SIGNAL_NUMBER, signal) ? (signal as SignalName) : 'SIGKILL';
  return EXIT_STATUS.signalBase + SIGNAL_NUMBER[known];
}

/** What an operating system can report of a guest's own exit code: its lowest 8 bits. */
export function guestStatus(code: number): number {
  return code & 0xff;
}
