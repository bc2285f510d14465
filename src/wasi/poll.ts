/**
 * Waiting for the first of several events.
 *
 * Progress of an interrupted call: the guest's monotonic time when it began, so that timeouts counted
 * from then don't start again.
 */
import { fstatSync } from 'node:fs';
import { ERRNO, type Errno } from '../abi/errno.ts';
import { CLOCKID, EVENTRWFLAGS, EVENTTYPE, SUBCLOCKFLAGS } from '../abi/flags.ts';
import { SIZE, writeEvent } from '../abi/layout.ts';
import { RIGHT } from '../abi/rights.ts';
import type { Snapshot } from '../abi/snapshot.ts';
import type { Handle } from '../handle/handle-table.ts';
import type { NativeDescriptors, Readiness } from '../handle/native-descriptors.ts';
import { fillStdin } from '../handle/stdin.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import { type AwaitedDescriptor, INTERRUPTED } from '../resource/pause.ts';
import { isBeyondReason } from './beyond-reason.ts';
import type { Calls } from './calls.ts';
import { timeOn } from './clock.ts';
import type { WasiEnvironment } from './environment.ts';

/** Several times what a guest can have open; bounds the time that one call takes. */
const SUBSCRIPTIONS_MAX = 16_384;

/** What a stream takes at least. */
const WRITABLE_BYTES = 65_536n;

/** No clock of ours gets there; a later deadline is none. */
const DEADLINE_NS_MAX = 2n ** 62n;

/** One subscription looked at: it has happened (`error`, `nbytes`, `flags`), or may by `untilNs`. */
interface Outlook {
  readonly happened: boolean;
  readonly error: Errno;
  readonly nbytes: bigint;
  readonly flags: number;
  /** On the guest's monotonic clock; null: not by itself. */
  readonly untilNs: bigint | null;
  readonly onStdin: boolean;
  /** What makes it happen by getting ready; null: nothing. */
  readonly awaited: AwaitedDescriptor | null;
}

const NOTHING = {
  error: ERRNO.SUCCESS,
  nbytes: 0n,
  flags: 0,
  untilNs: null,
  onStdin: false,
  awaited: null,
};
const HAPPENED: Outlook = { ...NOTHING, happened: true };
const WAITING: Outlook = { ...NOTHING, happened: false };

export function pollCalls(environment: WasiEnvironment, { subscription }: Snapshot): Calls {
  const { memory, handles, clock, pause, native } = environment;

  const lookAtClock = (view: DataView, at: number, startNs: bigint): Outlook => {
    const id = view.getUint32(at + subscription.clockId, true);
    const timeoutNs = view.getBigUint64(at + subscription.timeout, true);
    const flags = view.getUint16(at + subscription.clockFlags, true);
    const isAbsolute = (flags & SUBCLOCKFLAGS.ABSTIME) !== 0;
    const now = timeOn(clock, id);
    if (now === null) return { ...HAPPENED, error: ERRNO.INVAL };
    // A span of time is the same on every clock; processor time alone doesn't pass while waiting.
    if (id === CLOCKID.PROCESS_CPUTIME || id === CLOCKID.THREAD_CPUTIME) {
      return { ...HAPPENED, error: ERRNO.NOTSUP };
    }
    const monotonicNs = clock.monotonicNs();
    const untilNs = isAbsolute ? monotonicNs + (timeoutNs - now) : startNs + timeoutNs;
    if (untilNs <= monotonicNs) return HAPPENED;
    return { ...WAITING, untilNs: untilNs < DEADLINE_NS_MAX ? untilNs : null };
  };

  const lookAtHandle = (fd: number, type: number, ready: ReadinessOf): Outlook => {
    const handle = handles.get(fd);
    if (handle === undefined || handle.kind === 'directory') {
      return { ...HAPPENED, error: ERRNO.BADF };
    }
    if ((handle.rights & RIGHT.POLL_FD_READWRITE) === 0) {
      return { ...HAPPENED, error: ERRNO.NOTCAPABLE };
    }
    if (handle.kind === 'connection' && handle.hostFd < 0) {
      return { ...HAPPENED, flags: EVENTRWFLAGS.HANGUP };
    }
    const hostFd = pollableFd(handle);
    if (hostFd === null || native === null) {
      return type === EVENTTYPE.FD_READ ? lookAtRead(handle) : lookAtWrite(handle);
    }
    return lookAtDescriptor(native, handle, type, { hostFd, state: ready(hostFd) });
  };

  /** How the descriptors among all subscriptions stand, asked for at once. */
  const lookAround = (subscriptions: DataView, count: number): ReadinessOf => {
    const hostFds = new Set<number>();
    for (let at = 0; native !== null && at < count * subscription.bytes; at += subscription.bytes) {
      if (subscriptions.getUint8(at + 8) === EVENTTYPE.CLOCK) continue;
      const handle = handles.get(subscriptions.getUint32(at + 16, true));
      const hostFd = handle === undefined ? null : pollableFd(handle);
      if (hostFd !== null) hostFds.add(hostFd);
    }
    if (native === null || hostFds.size === 0) return () => NOT_READY;
    const awaited = [...hostFds].map((hostFd) => ({ hostFd, read: true, write: true }));
    const states = native.poll(awaited, 0n);
    const found = new Map(awaited.map(({ hostFd }, index) => [hostFd, states[index]!]));
    return (hostFd) => found.get(hostFd) ?? NOT_READY;
  };

  /** Looks at all subscriptions and writes the events that have happened; how many, or what to wait for. */
  const look = (subscriptions: DataView, count: number, out: number, startNs: bigint) => {
    let events = 0;
    let untilNs: bigint | null = null;
    let onStdin = false;
    const ready = lookAround(subscriptions, count);
    const awaited = new Map<number, AwaitedDescriptor>();
    for (let index = 0; index < count; index++) {
      const at = index * subscription.bytes;
      const type = subscriptions.getUint8(at + 8);
      const outlook =
        type === EVENTTYPE.CLOCK
          ? lookAtClock(subscriptions, at, startNs)
          : lookAtHandle(subscriptions.getUint32(at + 16, true), type, ready);
      if (outlook.happened) {
        const userdata = subscriptions.getBigUint64(at, true);
        const { error, nbytes, flags } = outlook;
        const event = { userdata, error, type, nbytes, flags };
        writeEvent(memory.view, out + events * SIZE.EVENT, event);
        events += 1;
      }
      onStdin ||= outlook.onStdin;
      if (outlook.awaited !== null) joinAwaited(awaited, outlook.awaited);
      if (outlook.untilNs !== null && (untilNs === null || outlook.untilNs < untilNs)) {
        untilNs = outlook.untilNs;
      }
    }
    return { events, untilNs, on: { stdin: onStdin, descriptors: [...awaited.values()] } };
  };

  return {
    /**
     * `poll_oneoff`: waits until at least one of `count` subscriptions has happened.
     *
     * A file is always ready; stdin is when there are bytes or its end; output and connections for writing
     * when they have room; a listener for reading when there is a connection to accept. What is wrong with one
     * subscription (BADF, INVAL, NOTCAPABLE, NOTSUP) is an event of it. A deadline on the wall clock is
     * kept also when that clock is set while waiting, if late.
     *
     * Reads the subscriptions, 48 bytes each, at `subscriptions`; writes an event, 32 bytes, for each
     * that has happened, in their order, at `out`, and how many, u32, at `result`.
     *
     * - INVAL: no subscription or more than 16,384; or one of a type that doesn't exist.
     * - FAULT: the subscriptions, `count` events or `result` aren't within memory.
     *
     * Source: WASI snapshot preview1, `poll_oneoff`; compare poll(2).
     */
    poll_oneoff: (subscriptions: number, out: number, count: number, result: number) => {
      const total = count >>> 0;
      const size = total * subscription.bytes;
      if (total === 0 || total > SUBSCRIPTIONS_MAX) {
        if (isBeyondReason(memory, subscriptions, total, subscription.bytes)) {
          throw new LimitReached('subscriptions');
        }
        return ERRNO.INVAL;
      }
      const fits =
        memory.holds(subscriptions, size) &&
        memory.holds(out, total * SIZE.EVENT) &&
        memory.holds(result, 4);
      if (!fits) return ERRNO.FAULT;
      const from = subscriptions >>> 0;
      // Events may be written over the subscriptions, which are looked at more than once.
      const copy = new DataView(memory.bytes.slice(from, from + size).buffer);
      for (let index = 0; index < total; index++) {
        const type = copy.getUint8(index * subscription.bytes + 8);
        if (type > EVENTTYPE.FD_WRITE) return ERRNO.INVAL;
      }
      const startNs = startedAt(environment);
      environment.progress = null;
      for (;;) {
        const { events, untilNs, on } = look(copy, total, out >>> 0, startNs);
        if (events > 0) {
          memory.view.setUint32(result >>> 0, events, true);
          return ERRNO.SUCCESS;
        }
        if (pause.wait(untilNs, on) === 'interrupted') {
          environment.progress = startNs;
          return INTERRUPTED;
        }
      }
    },
  };
}

/** When this call began, perhaps in another process; an image that says a time to come is not believed. */
function startedAt({ progress, clock }: WasiEnvironment): bigint {
  const now = clock.monotonicNs();
  const before = typeof progress === 'number' ? BigInt(Math.trunc(progress)) : progress;
  return typeof before === 'bigint' && before >= 0n && before < now ? before : now;
}

type ReadinessOf = (hostFd: number) => Readiness;

const NOT_READY: Readiness = { read: false, write: false, hangup: false };

/** What the system can say of; null: nothing, or not this way. */
function pollableFd(handle: Handle): number | null {
  if (handle.kind === 'output') return handle.sink.hostFd;
  if (handle.kind === 'listener') return handle.listener.hostFd;
  return handle.kind === 'connection' && handle.hostFd >= 0 ? handle.hostFd : null;
}

/** Waits for both ways at once where a guest subscribed to both. */
function joinAwaited(all: Map<number, AwaitedDescriptor>, one: AwaitedDescriptor): void {
  const { hostFd, read, write } = all.get(one.hostFd) ?? one;
  all.set(hostFd, { hostFd, read: read || one.read, write: write || one.write });
}

function lookAtDescriptor(
  native: NativeDescriptors,
  { kind }: Handle,
  type: number,
  { hostFd, state }: { readonly hostFd: number; readonly state: Readiness },
): Outlook {
  const reads = type === EVENTTYPE.FD_READ;
  if (kind === (reads ? 'output' : 'listener')) return { ...HAPPENED, error: ERRNO.BADF };
  if (!(reads ? state.read : state.write)) {
    return { ...WAITING, awaited: { hostFd, read: reads, write: !reads } };
  }
  if (!reads) {
    return { ...HAPPENED, nbytes: WRITABLE_BYTES, flags: state.hangup ? EVENTRWFLAGS.HANGUP : 0 };
  }
  if (kind === 'listener') return { ...HAPPENED, nbytes: 1n };
  // The other side may have ended with bytes still to be read: those first.
  const nbytes = BigInt(native.waitingBytes(hostFd));
  return { ...HAPPENED, nbytes, flags: state.hangup && nbytes === 0n ? EVENTRWFLAGS.HANGUP : 0 };
}

/** Of what the system can't say it of. */
function lookAtRead(handle: Exclude<Handle, { kind: 'directory' }>): Outlook {
  if (handle.kind === 'file') {
    const left = fstatSync(handle.hostFd).size - handle.offsetBytes;
    return { ...HAPPENED, nbytes: BigInt(Math.max(0, left)) };
  }
  if (handle.kind !== 'stdin') return { ...HAPPENED, error: ERRNO.BADF };
  const state = fillStdin(handle);
  if (state === 'empty') return { ...WAITING, onStdin: true };
  if (state === 'failed') return { ...HAPPENED, error: ERRNO.IO };
  const nbytes = handle.unread.length;
  return { ...HAPPENED, nbytes: BigInt(nbytes), flags: nbytes === 0 ? EVENTRWFLAGS.HANGUP : 0 };
}

function lookAtWrite(handle: Exclude<Handle, { kind: 'directory' }>): Outlook {
  if (handle.kind === 'stdin' || handle.kind === 'listener') {
    return { ...HAPPENED, error: ERRNO.BADF };
  }
  return { ...HAPPENED, nbytes: WRITABLE_BYTES };
}
