import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  MEMORY_BYTES,
  removeHost,
  restoredGuest,
  startGuest,
} from './harness.ts';

let host: Host;
let guest: Guest;

beforeEach(() => {
  host = createHost();
  guest = startGuest(host);
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
});

type Subscription =
  | { readonly clock: number; readonly timeoutNs: bigint; readonly absolute?: boolean }
  | { readonly fd: number; readonly write?: boolean };

const OUT = AT.data + 0x4000;

/** The user data of subscription n is 100 + n. */
function subscribe(target: Guest, subscriptions: readonly Subscription[]): void {
  for (const [index, subscription] of subscriptions.entries()) {
    const at = AT.data + index * 48;
    const { view } = target.memory;
    target.memory.bytes.fill(0, at, at + 48);
    view.setBigUint64(at, BigInt(100 + index), true);
    if ('clock' in subscription) {
      view.setUint8(at + 8, 0);
      view.setUint32(at + 16, subscription.clock, true);
      view.setBigUint64(at + 24, subscription.timeoutNs, true);
      view.setUint16(at + 40, subscription.absolute ? 1 : 0, true);
    } else {
      view.setUint8(at + 8, subscription.write ? 2 : 1);
      view.setUint32(at + 16, subscription.fd, true);
    }
  }
}

function poll(target: Guest, subscriptions: readonly Subscription[]) {
  subscribe(target, subscriptions);
  const errno = target.calls['poll_oneoff']!(AT.data, OUT, subscriptions.length, AT.result);
  if (errno !== 0) return errno;
  const { view } = target.memory;
  return Array.from({ length: target.u32() }, (_, index) => {
    const at = OUT + index * 32;
    return {
      of: Number(view.getBigUint64(at, true)) - 100,
      error: view.getUint16(at + 8, true),
      type: view.getUint8(at + 10),
      nbytes: view.getBigUint64(at + 16, true),
      flags: view.getUint16(at + 24, true),
    };
  });
}

const plain = { error: 0, nbytes: 0n, flags: 0 };

test('the nearest deadline ends the wait, on either clock, relative or not', () => {
  const begun = guest.resources.clock.monotonicNs();
  expect(
    poll(guest, [
      { clock: 1, timeoutNs: 5_000n },
      { clock: 0, timeoutNs: 3_000n },
    ]),
  ).toEqual([{ ...plain, of: 1, type: 0 }]);
  expect(guest.resources.clock.monotonicNs() - begun).toBe(3_000n);
  const absolute = guest.resources.clock.monotonicNs() + 10n;
  expect(poll(guest, [{ clock: 1, timeoutNs: absolute, absolute: true }])).toHaveLength(1);
  expect(poll(guest, [{ clock: 1, timeoutNs: 0n }])).toHaveLength(1);
  expect(poll(guest, [{ clock: 0, timeoutNs: 1n, absolute: true }])).toHaveLength(1);
});

test('a deadline on the wall clock is looked at again when that clock was set back', () => {
  const untilNs = host.clock.realtimeNs + 1_000n;
  let waits = 0;
  const wait = (until: bigint | null) => {
    waits += 1;
    host.clock.monotonicNs += until! - guest.resources.clock.monotonicNs();
    // The first time, somebody set the clock back meanwhile.
    host.clock.realtimeNs += waits === 1 ? -500n : 1_500n;
    return 'timeout' as const;
  };
  host.waits.push(wait, wait);
  expect(poll(guest, [{ clock: 0, timeoutNs: untilNs, absolute: true }])).toHaveLength(1);
  expect(waits).toBe(2);
});

test('files are ready, closed descriptors and bad clocks are events with an error', () => {
  const fd = guest.open('a', { oflags: 1 });
  guest.write(fd, 'seven..');
  guest.calls['fd_seek']!(fd, 2n, 0, AT.result);
  expect(
    poll(guest, [
      { fd },
      { fd, write: true },
      { fd: 99 },
      { clock: 9, timeoutNs: 1n },
      { fd: 1, write: true },
      { fd: 1 },
      { fd: 3 },
      { clock: 2, timeoutNs: 1n },
      { clock: 1, timeoutNs: 10n ** 12n },
    ]),
  ).toEqual([
    { ...plain, of: 0, type: 1, nbytes: 5n },
    { ...plain, of: 1, type: 2, nbytes: 65_536n },
    { ...plain, of: 2, type: 1, error: ERRNO.BADF },
    { ...plain, of: 3, type: 0, error: ERRNO.INVAL },
    { ...plain, of: 4, type: 2, nbytes: 65_536n },
    { ...plain, of: 5, type: 1, error: ERRNO.BADF },
    { ...plain, of: 6, type: 1, error: ERRNO.BADF },
    { ...plain, of: 7, type: 0, error: ERRNO.NOTSUP },
  ]);
});

test('stdin is ready with bytes and at its end, and what poll took is still read', () => {
  host.waits.push((untilNs, onStdin) => {
    expect(onStdin).toBe(true);
    expect(untilNs).toBe(guest.resources.clock.monotonicNs() + 50n);
    host.stdin.push(Buffer.from('abc'));
    return 'ready';
  });
  const both = [{ fd: 0 }, { clock: 1, timeoutNs: 50n }];
  expect(poll(guest, both)).toEqual([{ ...plain, of: 0, type: 1, nbytes: 3n }]);
  expect(guest.read(0, 10)).toBe('abc');
  host.stdin.push('end');
  expect(poll(guest, both)).toEqual([{ ...plain, of: 0, type: 1, flags: 1 }]);
  expect(guest.read(0, 10)).toBe('');
});

test('a sleep that is interrupted goes on for what was left, also in another process', async () => {
  subscribe(guest, [{ clock: 1, timeoutNs: 1_000n }]);
  host.waits.push(() => {
    host.clock.monotonicNs += 400n;
    return 'interrupted';
  });
  const before = guest.resources.clock.monotonicNs();
  expect(guest.calls['poll_oneoff']!(AT.data, OUT, 1, AT.result)).toBe(INTERRUPTED);
  expect(guest.environment.progress).not.toBeNull();
  const captured = await guest.resources.quiesce();
  const { progress } = guest.environment;
  guest.resources.close();
  // Another machine: its clock has nothing to do with the first one's.
  host.clock.monotonicNs = 3n;
  guest = await restoredGuest(host, captured, {}, progress);
  host.waits.push((untilNs) => {
    expect(untilNs).toBe(before + 1_000n);
    host.clock.monotonicNs += 600n;
    return 'timeout';
  });
  expect(poll(guest, [{ clock: 1, timeoutNs: 1_000n }])).toHaveLength(1);
  expect(guest.environment.progress).toBeNull();
});

test('progress that is no time past is not believed', () => {
  for (const progress of [10n ** 30n, -5, 'x', null]) {
    guest.environment.progress = progress;
    const now = guest.resources.clock.monotonicNs();
    expect(poll(guest, [{ clock: 1, timeoutNs: 100n }])).toHaveLength(1);
    expect(guest.resources.clock.monotonicNs()).toBe(now + 100n);
  }
});

test('none, too many, unknown types and bad pointers', () => {
  const call = guest.calls['poll_oneoff']!;
  expect(call(AT.data, OUT, 0, AT.result)).toBe(ERRNO.INVAL);
  expect(call(0, 0, 1_000_000, AT.result)).toBe(ERRNO.INVAL);
  expect(call(0, 0, -1, AT.result)).toBe(ERRNO.INVAL);
  expect(call(MEMORY_BYTES - 47, OUT, 1, AT.result)).toBe(ERRNO.FAULT);
  expect(call(AT.data, MEMORY_BYTES - 31, 1, AT.result)).toBe(ERRNO.FAULT);
  expect(call(AT.data, OUT, 1, -4)).toBe(ERRNO.FAULT);
  subscribe(guest, [{ clock: 1, timeoutNs: 1n }]);
  guest.memory.bytes[AT.data + 8] = 3;
  expect(call(AT.data, OUT, 1, AT.result)).toBe(ERRNO.INVAL);
});

test('16,384 subscriptions are looked at, events may overlap them', () => {
  const count = 16_384;
  const { memory } = guest;
  for (let index = 0; index < count; index++) {
    memory.bytes.fill(0, index * 48, index * 48 + 48);
    memory.view.setBigUint64(index * 48, BigInt(index), true);
    memory.view.setUint32(index * 48 + 16, 1, true);
  }
  expect(guest.calls['poll_oneoff']!(0, 16, count, MEMORY_BYTES - 4)).toBe(0);
  expect(guest.u32(MEMORY_BYTES - 4)).toBe(count);
  expect(memory.view.getBigUint64(16 + (count - 1) * 32, true)).toBe(BigInt(count - 1));
});

test('a deadline that no clock reaches is none', () => {
  host.waits.push((untilNs) => {
    expect(untilNs).toBeNull();
    return 'interrupted';
  });
  expect(poll(guest, [{ clock: 1, timeoutNs: 2n ** 64n - 1n }])).toBe(INTERRUPTED);
});
