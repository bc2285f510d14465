/**
 * The system calls that a cell may make, by what it needs them for, with their numbers.
 *
 * Found by running the tests under a filter that only logs, on Linux 6.18 with Node 26.10. Not here, and so
 * refused with EPERM: whatever starts a process or a program, makes a socket or connects one, looks into or
 * signals another process, mounts, traces, loads code into the kernel, or changes who the cell is.
 *
 * Source: the kernel's tables `syscall_64.tbl` (x86-64) and `unistd.h` of the generic table (arm64). A
 * call that an architecture doesn't have has null there.
 */
type Numbers = readonly [x64: number | null, arm64: number | null];

/** Memory of V8 and of the guest, threads and what they wait with. */
const MEMORY_AND_THREADS: Readonly<Record<string, Numbers>> = {
  brk: [12, 214],
  mmap: [9, 222],
  mprotect: [10, 226],
  munmap: [11, 215],
  mremap: [25, 216],
  madvise: [28, 233],
  mincore: [27, 232],
  membarrier: [324, 283],
  pkey_alloc: [330, 289],
  pkey_free: [331, 290],
  pkey_mprotect: [329, 288],
  futex: [202, 98],
  get_robust_list: [274, 100],
  set_robust_list: [273, 99],
  set_tid_address: [218, 96],
  rseq: [334, 293],
  arch_prctl: [158, null],
  sched_yield: [24, 124],
  sched_getaffinity: [204, 123],
  sched_getparam: [143, 121],
  sched_getscheduler: [145, 120],
  sched_get_priority_max: [146, 125],
  sched_get_priority_min: [147, 126],
  getcpu: [309, 168],
  exit: [60, 93],
  exit_group: [231, 94],
};

/** Signals of a process to itself; who may be signalled is checked (`seccomp-filter.ts`). */
const SIGNALS: Readonly<Record<string, Numbers>> = {
  rt_sigaction: [13, 134],
  rt_sigprocmask: [14, 135],
  rt_sigreturn: [15, 139],
  rt_sigtimedwait: [128, 137],
  rt_sigpending: [127, 136],
  sigaltstack: [131, 132],
  restart_syscall: [219, 128],
};

/** What a process may know of itself and of the machine. */
const SELF: Readonly<Record<string, Numbers>> = {
  getpid: [39, 172],
  gettid: [186, 178],
  getppid: [110, 173],
  getuid: [102, 174],
  geteuid: [107, 175],
  getgid: [104, 176],
  getegid: [108, 177],
  capget: [125, 90],
  getrusage: [98, 165],
  getrlimit: [97, 163],
  times: [100, 153],
  sysinfo: [99, 179],
  uname: [63, 160],
  getcwd: [79, 17],
  getrandom: [318, 278],
  clock_gettime: [228, 113],
  clock_getres: [229, 114],
  clock_nanosleep: [230, 115],
  nanosleep: [35, 101],
  gettimeofday: [96, 169],
  time: [201, null],
};

/** Descriptors that are open. */
const DESCRIPTORS: Readonly<Record<string, Numbers>> = {
  read: [0, 63],
  write: [1, 64],
  readv: [19, 65],
  writev: [20, 66],
  pread64: [17, 67],
  pwrite64: [18, 68],
  preadv: [295, 69],
  pwritev: [296, 70],
  preadv2: [327, 286],
  pwritev2: [328, 287],
  lseek: [8, 62],
  close: [3, 57],
  close_range: [436, 436],
  dup: [32, 23],
  dup2: [33, null],
  dup3: [292, 24],
  fcntl: [72, 25],
  flock: [73, 32],
  fsync: [74, 82],
  fdatasync: [75, 83],
  syncfs: [306, 267],
  ftruncate: [77, 46],
  fallocate: [285, 47],
  fadvise64: [221, 223],
  copy_file_range: [326, 285],
  sendfile: [40, 71],
  fstat: [5, 80],
  fstatfs: [138, 44],
  getdents64: [217, 61],
  poll: [7, null],
  ppoll: [271, 73],
  select: [23, null],
  pselect6: [270, 72],
  epoll_create1: [291, 20],
  epoll_ctl: [233, 21],
  epoll_wait: [232, null],
  epoll_pwait: [281, 22],
  epoll_pwait2: [441, 441],
  eventfd2: [290, 19],
  pipe2: [293, 59],
};

/** Names below the directories that Landlock leaves open. */
const NAMES: Readonly<Record<string, Numbers>> = {
  open: [2, null],
  openat: [257, 56],
  openat2: [437, 437],
  access: [21, null],
  faccessat: [269, 48],
  faccessat2: [439, 439],
  stat: [4, null],
  lstat: [6, null],
  newfstatat: [262, 79],
  statx: [332, 291],
  statfs: [137, 43],
  readlink: [89, null],
  readlinkat: [267, 78],
  truncate: [76, 45],
  mkdir: [83, null],
  mkdirat: [258, 34],
  rmdir: [84, null],
  unlink: [87, null],
  unlinkat: [263, 35],
  rename: [82, null],
  renameat: [264, 38],
  renameat2: [316, 276],
  link: [86, null],
  linkat: [265, 37],
  symlink: [88, null],
  symlinkat: [266, 36],
  utimensat: [280, 88],
  chmod: [90, null],
  fchmod: [91, 52],
  fchmodat: [268, 53],
};

/** Sockets that the host opened: there is no call that makes one. */
const SOCKETS: Readonly<Record<string, Numbers>> = {
  accept: [43, 202],
  accept4: [288, 242],
  recvfrom: [45, 207],
  sendto: [44, 206],
  shutdown: [48, 210],
  getsockname: [51, 204],
  getpeername: [52, 205],
  getsockopt: [55, 209],
  setsockopt: [54, 208],
};

/** Calls whose arguments are looked at. */
export const JUDGED = {
  clone: [56, 220],
  clone3: [435, 435],
  io_uring_setup: [425, 425],
  ioctl: [16, 29],
  kill: [62, 129],
  tgkill: [234, 131],
  prctl: [157, 167],
  prlimit64: [302, 261],
  recvmsg: [47, 212],
  landlock_restrict_self: [446, 446],
} as const satisfies Readonly<Record<string, Numbers>>;

export type Architecture = 'x64' | 'arm64';

export function numberOf([x64, arm64]: Numbers, architecture: Architecture): number | null {
  return architecture === 'x64' ? x64 : arm64;
}

/** Numbers of the calls that are allowed whatever their arguments are. */
export function allowedCalls(architecture: Architecture): readonly number[] {
  return [MEMORY_AND_THREADS, SIGNALS, SELF, DESCRIPTORS, NAMES, SOCKETS]
    .flatMap((group) => Object.values(group))
    .map((numbers) => numberOf(numbers, architecture))
    .filter((number) => number !== null);
}
