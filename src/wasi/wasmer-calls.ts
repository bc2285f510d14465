/**
 * The calls of `@wasmer/wasi` as a guest makes them: with our input, our output and our endings.
 *
 * The package reads standard input from a pipe that never waits: an empty one is at its end. So a read
 * that got nothing there is made again once input has come. Output is taken out of the package's pipes
 * after every call that writes.
 *
 * Progress of an interrupted call: of `fd_read` none, it has read nothing. Of a call that wrote, what the
 * package answered and the output that was not taken yet; the package is not asked again.
 */
import { ERRNO } from '../abi/errno.ts';
import type { CborValue } from '../cbor/cbor.ts';
import type { OutputSink } from '../handle/grants.ts';
import { fillStdin, type StdinHandle } from '../handle/stdin.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { Call, Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { createRanges, readRanges } from './iovec.ts';
import { procCalls } from './proc.ts';
import { randomCalls } from './random.ts';
import { give } from './stream-transfer.ts';
import type { WasmerCall, WasmerWasi } from './wasmer-package.ts';

export interface WasmerParts {
  readonly wasi: Pick<WasmerWasi, 'getStdoutBuffer' | 'getStderrBuffer' | 'setStdinBuffer'>;
  /** As the package gives them, for the guest's memory. */
  readonly calls: Readonly<Record<string, WasmerCall>>;
  /** Runs what goes into the package; it ends the guest when the package breaks down. */
  readonly guard: <T>(name: string, work: () => T) => T;
  /** The descriptor that standard input is now; null when it was closed. */
  readonly stdin: { get(): number | null; set(fd: number | null): void };
}

/** Calls that can put bytes into a stream. */
const WRITING: readonly string[] = ['fd_write', 'fd_pwrite', 'sock_send'];

export function wasmerCalls(environment: WasiEnvironment, parts: WasmerParts): Calls {
  const { guard, stdin } = parts;
  const calls: Record<string, Call> = {};
  for (const [name, call] of Object.entries(parts.calls)) {
    calls[name] = (...args) => guard(name, () => call(...args));
  }
  const { fd_read: read, fd_close: close, fd_renumber: renumber } = calls;
  for (const name of WRITING) calls[name] = writing(environment, parts, calls[name]!);
  return Object.freeze({
    ...calls,
    fd_read: reading(environment, parts, read!),
    fd_close: (fd: number) => {
      const errno = close!(fd);
      if (errno === ERRNO.SUCCESS && fd >>> 0 === stdin.get()) stdin.set(null);
      return errno;
    },
    fd_renumber: (from: number, to: number) => {
      const errno = renumber!(from, to);
      if (errno !== ERRNO.SUCCESS) return errno;
      if (from >>> 0 === stdin.get()) stdin.set(to >>> 0);
      else if (to >>> 0 === stdin.get()) stdin.set(null);
      return errno;
    },
    proc_exit: procCalls()['proc_exit']!,
    random_get: randomCalls(environment)['random_get']!,
  });
}

/** `fd_read` that waits on standard input, and gives the package what came. */
function reading(environment: WasiEnvironment, parts: WasmerParts, read: Call): Call {
  const { memory, handles, pause } = environment;
  const { wasi, guard, stdin } = parts;
  const ranges = createRanges();
  return (fd: number, iovecs: number, count: number, size: number) => {
    for (;;) {
      const errno = read(fd, iovecs, count, size);
      if (errno !== ERRNO.SUCCESS || fd >>> 0 !== stdin.get()) return errno;
      if (memory.view.getUint32(size >>> 0, true) > 0) return errno;
      const asked = readRanges(memory, iovecs, count, ranges) === ERRNO.SUCCESS;
      if (!asked || ranges.totalBytes === 0) return errno;
      const handle = handles.get(0) as StdinHandle;
      const state = fillStdin(handle);
      if (state === 'failed') return ERRNO.IO;
      if (state === 'empty') {
        if (pause.wait(null, { stdin: true }) === 'interrupted') return INTERRUPTED;
        continue;
      }
      if (handle.unread.length === 0) return errno;
      const { unread } = handle;
      handle.unread = unread.subarray(unread.length);
      guard('fd_read', () => wasi.setStdinBuffer(unread));
    }
  };
}

/** A call that writes, and what it wrote to the streams taken out at once. */
function writing(environment: WasiEnvironment, parts: WasmerParts, write: Call): Call {
  const { handles } = environment;
  const { wasi, guard } = parts;
  const sinkOf = (fd: 1 | 2): OutputSink => (handles.get(fd) as { sink: OutputSink }).sink;

  const passOn = (errno: number, stdout: Uint8Array, stderr: Uint8Array): number => {
    const out = give(environment.pause, sinkOf(1), [stdout], 0);
    if (out < 0) return -out;
    const err = out < stdout.length ? 0 : give(environment.pause, sinkOf(2), [stderr], 0);
    if (err < 0) return -err;
    if (out === stdout.length && err === stderr.length) return errno;
    environment.progress = { errno, stdout: stdout.slice(out), stderr: stderr.slice(err) };
    return INTERRUPTED;
  };

  return (...args) => {
    const held = heldOutput(environment.progress);
    environment.progress = null;
    if (held !== null) return passOn(held.errno, held.stdout, held.stderr);
    const errno = write(...args);
    const stdout = guard('fd_write', () => wasi.getStdoutBuffer());
    const stderr = guard('fd_write', () => wasi.getStderrBuffer());
    for (const [fd, bytes] of [[1, stdout] as const, [2, stderr] as const]) {
      const failure = bytes.length === 0 ? ERRNO.SUCCESS : sinkOf(fd).record([bytes]);
      if (failure !== ERRNO.SUCCESS) return failure;
    }
    return passOn(errno, stdout, stderr);
  };
}

interface HeldOutput {
  readonly errno: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/** Progress comes from an image: anything else than ours counts as none. */
function heldOutput(progress: CborValue): HeldOutput | null {
  if (progress === null || typeof progress !== 'object') return null;
  const { errno, stdout, stderr } = progress as Record<string, CborValue>;
  const fits =
    typeof errno === 'number' && stdout instanceof Uint8Array && stderr instanceof Uint8Array;
  return fits ? { errno, stdout, stderr } : null;
}
