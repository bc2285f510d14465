/** Drives the calls of preview1 on a memory of its own, without a guest. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ERRNO } from '../../src/abi/errno.ts';
import { OFLAGS } from '../../src/abi/flags.ts';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { RIGHT, RIGHTS_ALL } from '../../src/abi/rights.ts';
import type { CborValue } from '../../src/cbor/cbor.ts';
import type {
  CapturedResources,
  Grants,
  GuestResources,
  OutputSink,
  StdinPosition,
  StdinSource,
} from '../../src/handle/grants.ts';
import { createGuestResources, restoreGuestResources } from '../../src/handle/guest-resources.ts';
import type { NativeDescriptors } from '../../src/handle/native-descriptors.ts';
import type { Pause } from '../../src/resource/pause.ts';
import type { Calls } from '../../src/wasi/calls.ts';
import type { WasiEnvironment } from '../../src/wasi/environment.ts';
import { createPreview1 } from '../../src/wasi/preview1.ts';

export const MEMORY_BYTES = 16 * 65_536;

/** Where the harness puts things in guest memory. */
export const AT = { path: 0x100, path2: 0x2000, result: 0x4000, iovecs: 0x5000, data: 0x8000 };

export interface FakeClock {
  realtimeNs: bigint;
  monotonicNs: bigint;
  cpuNs: bigint;
}

export interface Host {
  readonly dir: string;
  readonly clock: FakeClock;
  /** What stdin gives, next first; `end` is not taken out. */
  readonly stdin: (Uint8Array | 'end' | 'failed')[];
  stdinPosition: StdinPosition | null;
  readonly written: { stdout: string; stderr: string };
  native: NativeDescriptors | null;
  /** What the next waits give; by default time passes until the deadline. */
  readonly waits: ((untilNs: bigint | null, onStdin: boolean) => ReturnType<Pause['wait']>)[];
  grants(overrides?: Partial<Grants>): Grants;
}

export function createHost(): Host {
  const dir = mkdtempSync(join(tmpdir(), 'stasis-wasi-'));
  const clock: FakeClock = { realtimeNs: 10n ** 18n, monotonicNs: 500n, cpuNs: 7n };
  const stdin: Host['stdin'] = [];
  const written = { stdout: '', stderr: '' };
  const source: StdinSource = {
    isTerminal: false,
    position: () => host.stdinPosition,
    moveTo: (position) => {
      host.stdinPosition = position;
    },
    read: (into) => {
      const next = stdin[0];
      if (next === undefined) return 'empty';
      if (typeof next === 'string') return next;
      stdin.shift();
      if (next.length > into.length) stdin.unshift(next.subarray(into.length));
      into.set(next.subarray(0, into.length));
      return Math.min(next.length, into.length);
    },
  };
  const sink = (stream: 'stdout' | 'stderr'): OutputSink => ({
    isTerminal: false,
    hostFd: null,
    record: () => ERRNO.SUCCESS,
    write: (parts, fromBytes) => {
      const bytes = Buffer.concat(parts).subarray(fromBytes);
      written[stream] += bytes.toString();
      return bytes.length;
    },
  });
  const host: Host = {
    dir,
    clock,
    stdin,
    stdinPosition: null,
    native: null,
    written,
    waits: [],
    grants: (overrides = {}) => ({
      preopens: [{ hostPath: dir, guestPath: '/data', readOnly: false }],
      stdin: source,
      stdout: sink('stdout'),
      stderr: sink('stderr'),
      clock: {
        realtimeNs: () => clock.realtimeNs,
        monotonicNs: () => clock.monotonicNs,
        cpuNs: () => clock.cpuNs,
        resolutionNs: 1n,
      },
      random: (into) => crypto.getRandomValues(into as Uint8Array<ArrayBuffer>),
      ...overrides,
    }),
  };
  return host;
}

export function removeHost(host: Host): void {
  rmSync(host.dir, { recursive: true, force: true });
}

export interface Guest {
  readonly calls: Calls;
  readonly memory: GuestMemory;
  readonly environment: WasiEnvironment;
  readonly resources: GuestResources;
  /** Puts bytes or text into memory; its length in bytes. */
  put(at: number, value: string | Uint8Array): number;
  text(at: number, length: number): string;
  u32(at?: number): number;
  u64(at?: number): bigint;
  /** path_open with every right unless told; the number, or minus the errno. */
  open(path: string, options?: OpenOptions): number;
  write(fd: number, text: string): number;
  read(fd: number, length: number): string | number;
  /** A call `(fd, path, length)` on the directory 3, unless told. */
  onPath(name: string, path: string, fd?: number): number;
}

export interface OpenOptions {
  readonly fd?: number;
  readonly oflags?: number;
  readonly rights?: number;
  readonly flags?: number;
  readonly follow?: boolean;
}

export function guestOf(host: Host, resources: GuestResources, progress: CborValue = null): Guest {
  const plain = { buffer: new ArrayBuffer(MEMORY_BYTES) };
  const memory = new GuestMemory(() => plain);
  const environment: WasiEnvironment = {
    memory,
    args: ['prog', 'ü'].map((arg) => new TextEncoder().encode(arg)),
    env: ['A=1'].map((variable) => new TextEncoder().encode(variable)),
    handles: resources.handles,
    connections: resources.connections,
    native: host.native,
    clock: resources.clock,
    random: resources.random,
    pause: {
      wait: (untilNs, { stdin }) => {
        const scripted = host.waits.shift();
        if (scripted !== undefined) return scripted(untilNs, stdin);
        if (untilNs === null) throw new Error('would wait for ever');
        const leftNs = untilNs - resources.clock.monotonicNs();
        if (leftNs > 0n) host.clock.monotonicNs += leftNs;
        return 'timeout';
      },
    },
    progress,
  };
  const calls = createPreview1(environment);
  const put = (at: number, value: string | Uint8Array): number => {
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    memory.bytes.set(bytes, at);
    return bytes.length;
  };
  const guest: Guest = {
    calls,
    memory,
    environment,
    resources,
    put,
    text: (at, length) => Buffer.from(memory.bytes.subarray(at, at + length)).toString(),
    u32: (at = AT.result) => memory.view.getUint32(at, true),
    u64: (at = AT.result) => memory.view.getBigUint64(at, true),
    open: (path, options = {}) => {
      const { fd = 3, oflags = 0, flags = 0, follow = false } = options;
      // A directory is not opened for writing.
      const all = oflags & OFLAGS.DIRECTORY ? RIGHTS_ALL & ~RIGHT.FD_WRITE : RIGHTS_ALL;
      const { rights = all } = options;
      const length = put(AT.path, path);
      const errno = calls['path_open']!(
        fd,
        follow ? 1 : 0,
        AT.path,
        length,
        oflags,
        BigInt(rights),
        BigInt(RIGHTS_ALL),
        flags,
        AT.result,
      );
      return errno === 0 ? guest.u32() : -errno;
    },
    write: (fd, text) => {
      const length = put(AT.data, text);
      iovecs(guest, [[AT.data, length]]);
      const errno = calls['fd_write']!(fd, AT.iovecs, 1, AT.result);
      return errno === 0 ? guest.u32() : -errno;
    },
    read: (fd, length) => {
      iovecs(guest, [[AT.data, length]]);
      const errno = calls['fd_read']!(fd, AT.iovecs, 1, AT.result);
      return errno === 0 ? guest.text(AT.data, guest.u32()) : -errno;
    },
    onPath: (name, path, fd = 3) => calls[name]!(fd, AT.path, put(AT.path, path)),
  };
  return guest;
}

export function startGuest(host: Host, overrides: Partial<Grants> = {}): Guest {
  return guestOf(host, createGuestResources(host.grants(overrides)));
}

/** Quiesces `guest` and goes on in a fresh table, as another process would. */
export async function restartGuest(
  host: Host,
  guest: Guest,
  overrides: Partial<Grants> = {},
): Promise<Guest> {
  const captured = await guest.resources.quiesce();
  guest.resources.close();
  return restoredGuest(host, captured, overrides, guest.environment.progress);
}

export async function restoredGuest(
  host: Host,
  captured: CapturedResources,
  overrides: Partial<Grants> = {},
  progress: CborValue = null,
): Promise<Guest> {
  const grants = host.grants(overrides);
  return guestOf(host, await restoreGuestResources(captured, grants, 'restarted'), progress);
}

/** Writes iovecs `[pointer, length]` at AT.iovecs. */
export function iovecs(guest: Guest, ranges: readonly (readonly [number, number])[]): void {
  for (const [index, [pointer, length]] of ranges.entries()) {
    guest.memory.view.setUint32(AT.iovecs + index * 8, pointer, true);
    guest.memory.view.setUint32(AT.iovecs + index * 8 + 4, length, true);
  }
}

export interface DirEntry {
  readonly name: string;
  readonly next: bigint;
  readonly ino: bigint;
  readonly type: number;
}

/** One fd_readdir into a buffer of `size` bytes; whole entries only, and whether that was the end. */
export function readdir(
  guest: Guest,
  fd: number,
  cookie: bigint,
  size = 4096,
): { readonly entries: DirEntry[]; readonly end: boolean } {
  const errno = guest.calls['fd_readdir']!(fd, AT.data, size, cookie, AT.result);
  if (errno !== 0) throw new Error(`fd_readdir: errno ${errno}`);
  const used = guest.u32();
  const { view } = guest.memory;
  const entries: DirEntry[] = [];
  let at = AT.data;
  while (at + 24 <= AT.data + used) {
    const length = view.getUint32(at + 16, true);
    if (at + 24 + length > AT.data + used) break;
    entries.push({
      name: guest.text(at + 24, length),
      next: view.getBigUint64(at, true),
      ino: view.getBigUint64(at + 8, true),
      type: view.getUint8(at + 20),
    });
    at += 24 + length;
  }
  return { entries, end: used < size };
}
