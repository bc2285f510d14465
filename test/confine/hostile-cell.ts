/**
 * Stands in for a guest that broke out of the engine: a cell that was confined as every cell is, and then
 * makes raw system calls, from two threads. Writes to the log what each of them gave: `done`, or the error's name.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { confineSelf, equipSelf } from '../../src/cell/confine-self.ts';
import { FrameReader, frameMessage } from '../../src/cell/framing.ts';
import { readHostMessage } from '../../src/cell/message-shapes.ts';
import type { CellMessage } from '../../src/cell/protocol.ts';
import { openNativeLibrary } from '../../src/native/library.ts';

/** What `start.args` name, in this order. */
export interface Targets {
  readonly secret: string;
  /** What it holds. */
  readonly secretText: string;
  readonly readOnly: string;
  readonly writable: string;
  readonly hostPid: number;
  readonly port: number;
}

const LOG_FD = 4;
const CALLS = {
  x64: {
    pread64: 17,
    openat: 257,
    socket: 41,
    connect: 42,
    clone: 56,
    execve: 59,
    kill: 62,
    ptrace: 101,
    setuid: 105,
    unshare: 272,
    mount: 165,
    chroot: 161,
    bpf: 321,
    perf_event_open: 298,
    userfaultfd: 323,
    memfd_create: 319,
    io_uring_setup: 425,
    process_vm_readv: 310,
    keyctl: 250,
    open_by_handle_at: 304,
    pidfd_open: 434,
    prlimit64: 302,
    ioctl: 16,
    mknodat: 259,
    exit_group: 231,
    init_module: 175,
    seccomp: 317,
    personality: 135,
    unlinkat: 263,
    mkdirat: 258,
    fcntl: 72,
    setns: 308,
    reboot: 169,
    swapon: 167,
    prctl: 157,
  },
  arm64: {
    pread64: 67,
    openat: 56,
    socket: 198,
    connect: 203,
    clone: 220,
    execve: 221,
    kill: 129,
    ptrace: 117,
    setuid: 146,
    unshare: 97,
    mount: 40,
    chroot: 51,
    bpf: 280,
    perf_event_open: 241,
    userfaultfd: 282,
    memfd_create: 279,
    io_uring_setup: 425,
    process_vm_readv: 270,
    keyctl: 219,
    open_by_handle_at: 265,
    pidfd_open: 434,
    prlimit64: 261,
    ioctl: 29,
    mknodat: 33,
    exit_group: 94,
    init_module: 105,
    seccomp: 277,
    personality: 92,
    unlinkat: 35,
    mkdirat: 34,
    fcntl: 25,
    setns: 268,
    reboot: 142,
    swapon: 224,
    prctl: 167,
  },
} as const;

const AT_FDCWD = -100n;
const O_RDONLY = 0n;
const O_WRONLY = 1n;
const O_CREAT = 0x40n;
const SIGCHLD = 17n;
const AF_UNIX = 1n;
const AF_INET = 2n;
const AF_NETLINK = 16n;
const SOCK_STREAM = 1n;
const SOCK_RAW = 3n;
const PR_SET_DUMPABLE = 4n;
/** Unlike PTRACE_ATTACH it doesn't stop who is traced. */
const PTRACE_SEIZE = 0x4206n;
const TIOCSTI = 0x5412n;

const library = openNativeLibrary(
  {
    syscall: {
      arguments: ['int64', 'int64', 'int64', 'int64', 'int64', 'int64', 'int64'],
      return: 'int64',
    },
  },
  () => true,
);
if (library === null) throw new Error('the cell has no FFI to attack with');
const { functions, addressOf, hostErrno } = library;
const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
const numbers = CALLS[process.arch as keyof typeof CALLS];

const held: ArrayBufferLike[] = [];
function text(value: string): bigint {
  const bytes = new TextEncoder().encode(`${value}\0`);
  const copy = new Uint8Array(new ArrayBuffer(Math.max(64, bytes.length)));
  copy.set(bytes);
  held.push(copy.buffer);
  return addressOf(copy.buffer);
}

/** What the call gives, or the name of its error. */
function call(name: keyof typeof numbers, ...given: readonly bigint[]): bigint | string {
  const args = [...given, 0n, 0n, 0n, 0n, 0n, 0n].slice(0, 6);
  const result = functions.syscall(BigInt(numbers[name]), ...args) as bigint;
  if (result >= 0n) return result;
  const errno = hostErrno();
  return NAMES.get(errno) ?? `errno ${errno}`;
}

function outcome(result: bigint | string): string {
  return typeof result === 'bigint' ? 'done' : result;
}

function open(path: string, flags = O_RDONLY): string {
  return outcome(call('openat', AT_FDCWD, text(path), flags, 0o600n));
}

/** A fork of a process with threads: the child must do nothing but end. */
function fork(): string {
  const result = call('clone', SIGCHLD);
  if (result === 0n) call('exit_group', 0n);
  return outcome(result);
}

function connectTo(port: number): string {
  const socket = call('socket', AF_INET, SOCK_STREAM);
  if (typeof socket === 'string') return socket;
  const address = new DataView(new ArrayBuffer(16));
  address.setUint16(0, Number(AF_INET), true);
  address.setUint16(2, port);
  address.setUint32(4, 0x7f00_0001);
  return outcome(call('connect', socket, addressOf(address.buffer), 16n));
}

/** Whether any descriptor that is open here leads to a file that begins so. */
function descriptorWith(beginning: string): string {
  const bytes = new Uint8Array(new ArrayBuffer(beginning.length));
  for (let fd = 0; fd < 1000; fd += 1) {
    const found = call('pread64', BigInt(fd), addressOf(bytes.buffer), BigInt(bytes.length), 0n);
    if (typeof found === 'bigint' && new TextDecoder().decode(bytes) === beginning) return 'done';
  }
  return 'nothing';
}

function attack({
  secret,
  secretText,
  readOnly,
  writable,
  hostPid,
  port,
}: Targets): Record<string, string> {
  const host = BigInt(hostPid);
  const buffer = new ArrayBuffer(64);
  held.push(buffer);
  const at = addressOf(buffer);
  return {
    'read a secret file': open(secret),
    'read /etc/passwd': open('/etc/passwd'),
    'list the root': open('/'),
    "read the host's memory": open(`/proc/${hostPid}/mem`),
    "read the host's environment": open(`/proc/${hostPid}/environ`),
    "list the host's descriptors": open(`/proc/${hostPid}/fd`),
    'read its own page map': open('/proc/self/pagemap'),
    'write its own memory': open('/proc/self/mem', O_WRONLY),
    'read the granted directory': open(readOnly),
    'write below the read-only directory': open(`${readOnly}/made`, O_WRONLY | O_CREAT),
    'write below the writable directory': open(`${writable}/made`, O_WRONLY | O_CREAT),
    'write beside its code': open(new URL('made', import.meta.url).pathname, O_WRONLY | O_CREAT),
    'make a directory in /tmp': outcome(
      call('mkdirat', AT_FDCWD, text(`${secret}-directory`), 0o700n),
    ),
    'remove the secret file': outcome(call('unlinkat', AT_FDCWD, text(`${secret}-other`), 0n)),
    'make a device': outcome(
      call('mknodat', AT_FDCWD, text(`${writable}/device`), 0o020_600n, 259n),
    ),
    'make a socket': outcome(call('socket', AF_INET, SOCK_STREAM)),
    'make a unix socket': outcome(call('socket', AF_UNIX, SOCK_STREAM)),
    'make a netlink socket': outcome(call('socket', AF_NETLINK, SOCK_RAW)),
    'connect to a port': connectTo(port),
    fork: fork(),
    'start a program': outcome(call('execve', text('/no/such/program'), 0n, 0n)),
    'signal the host': outcome(call('kill', host, 0n)),
    'signal everybody': outcome(call('kill', -1n, 0n)),
    'hold the host by a descriptor': outcome(call('pidfd_open', host)),
    'trace the host': outcome(call('ptrace', PTRACE_SEIZE, host)),
    "copy the host's memory": outcome(call('process_vm_readv', host, at, 0n, at, 0n, 0n)),
    "change the host's limits": outcome(call('prlimit64', host, 7n, 0n, at)),
    'become another user': outcome(call('setuid', 0n)),
    'leave its namespaces': outcome(call('unshare', 0x2000_0000n)),
    'enter a namespace': outcome(call('setns', 0n, 0n)),
    // To nowhere, so that nothing happens where it is allowed.
    mount: outcome(call('mount', 0n, 0n, 0n, 0n, 0n)),
    'change the root': outcome(call('chroot', 0n)),
    'open a file by its handle': outcome(call('open_by_handle_at', AT_FDCWD, at, 0n)),
    'load a program into the kernel': outcome(call('bpf', 0n, at, 64n)),
    'load a module': outcome(call('init_module', at, 0n, at)),
    'watch the processor': outcome(call('perf_event_open', at, 0n, -1n, -1n, 0n)),
    'handle page faults': outcome(call('userfaultfd', 1n)),
    'make a file in memory': outcome(call('memfd_create', text('x'), 0n)),
    'make a ring': outcome(call('io_uring_setup', 8n, at)),
    'use the key ring': outcome(call('keyctl', 0n, -3n, 0n)),
    'put another filter on': outcome(call('seccomp', 1n, 0n, 0n)),
    'be dumpable again': outcome(call('prctl', PR_SET_DUMPABLE, 1n)),
    'change what mappings mean': outcome(call('personality', 0x040_0000n)),
    'type into the terminal': outcome(call('ioctl', 0n, TIOCSTI, at)),
    "find the host's secret in a descriptor": descriptorWith(secretText),
  };
}

/** Attacks from a thread that was there before the process was confined, as well as from the main one. */
function beMain(): void {
  const other = new Worker(new URL(import.meta.url));
  const ready = once(other, 'message');
  const control = new Socket({ fd: 3, readable: true, writable: true });
  const reader = new FrameReader({
    cborBytesMax: 2 ** 20,
    attachmentsMax: 4,
    attachmentBytesMax: 2 ** 24,
  });
  let postFd: number | null = null;
  const send = (answer: CellMessage): void => {
    for (const part of frameMessage(answer as unknown as CborValue, [])) control.write(part);
  };
  control.on('data', async (chunk: Uint8Array) => {
    for (const { message } of reader.push(chunk)) {
      const told = readHostMessage(message);
      if (told.type === 'confine') {
        await ready;
        postFd = told.postFd;
        send({ type: 'confined', held: confineSelf(told), tracksWrites: false });
      } else if (told.type === 'equip') {
        send({ type: 'equipped', held: equipSelf(postFd!, told) });
      } else if (told.type === 'start') {
        const targets = JSON.parse(told.args[0]!) as Targets;
        other.postMessage(targets);
        const [before] = (await once(other, 'message')) as [Record<string, string>];
        writeSync(LOG_FD, JSON.stringify({ before, main: attack(targets) }));
        process.kill(process.pid, 'SIGKILL');
      }
    }
  });
}

if (isMainThread) beMain();
else {
  parentPort!.on('message', (targets: Targets) => parentPort!.postMessage(attack(targets)));
  parentPort!.postMessage('ready');
}
