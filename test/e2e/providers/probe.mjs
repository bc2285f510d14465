/**
 * Providers for tests: `probe` offers functions to the guest `provider-calls`; `a` to `e` only take part
 * in checkpoints. Options: `fail=PHASE`, `how=HOW`, `from=N` and `until=N`, the first time that it fails,
 * from 0, and the first time that it does not again; `hurry=yes`, not to wait.
 */
import { writeFileSync } from 'node:fs';
import { defineProvider, ERRNO, INTERRUPTED, mapOf, wideInteger } from 'stasis/provider';

const I64 = wideInteger(-(2n ** 63n), 2n ** 63n - 1n);

const FAULTS = {
  throw: () => {
    throw new Error('the probe was told to');
  },
  reject: async () => {
    throw new Error('the probe was told to');
  },
  hang: () => new Promise(() => undefined),
  spin: () => {
    for (;;);
  },
  exit: () => process.exit(0),
  stray: () => void Promise.reject(new Error('nobody looks')),
};

function faulty(options, phases) {
  const { fail, how = 'throw', from = '0', until = 'Infinity' } = options;
  const seen = new Map();
  return Object.fromEntries(
    Object.entries(phases).map(([phase, call]) => [
      phase,
      (...args) => {
        const times = seen.get(phase) ?? 0;
        seen.set(phase, times + 1);
        if (phase === fail && times >= Number(from) && times < Number(until)) {
          const given = how === 'shape' ? { sum: 'no number' } : FAULTS[how]();
          if (given !== undefined) return given;
        }
        return call(...args);
      },
    ]),
  );
}

export function probe(options) {
  let sum = 0n;
  let guest;
  let wakeNs = null;
  const calls = faulty(options, {
    add: (amount) => {
      sum = BigInt.asIntN(64, sum + amount);
      return sum;
    },
    half: (a) => a / 2,
  });
  return defineProvider({
    kind: 'probe',
    version: Number(options.version ?? 1),
    deadlineMs: Number(options.deadline ?? 1000),
    shape: mapOf({ sum: I64 }),
    ...faulty(options, {
      prepare: () => ({ sum }),
      commit: () => undefined,
      abort: () => undefined,
      rebuild: (state, { reason }) => {
        if (reason === 'restarted') sum = state.sum;
      },
      attach: (access) => {
        guest = access;
      },
      close: () => {
        if (options.closed !== undefined) writeFileSync(options.closed, `${sum}\n`);
      },
    }),
    imports: {
      probe: {
        ...calls,
        ...(options.fail === 'ask' ? { half: () => INTERRUPTED } : {}),
        ...(options.fail === 'type' ? { half: () => 1n } : {}),
        ...(options.fail === 'promise' ? { half: async () => 1 } : {}),
        mix: (a, b, c) => a * b + c - 0.375,
        fill: (to, length, byte) => {
          if (!guest.memory.holds(to, length)) return ERRNO.FAULT;
          guest.memory.bytes.fill(byte, to >>> 0, (to >>> 0) + length);
          return ERRNO.SUCCESS;
        },
        minus: () => -1,
        wait: (milliseconds) => {
          if (options.hurry !== undefined) return undefined;
          wakeNs ??= guest.clock.monotonicNs() + BigInt(milliseconds) * 1_000_000n;
          if (guest.pause.wait(wakeNs, { stdin: false }) === 'interrupted') return INTERRUPTED;
          wakeNs = null;
          return undefined;
        },
      },
    },
  });
}

function plain(kind) {
  return (options) =>
    defineProvider({
      kind,
      version: 1,
      deadlineMs: 1000,
      shape: mapOf({ sum: I64 }),
      ...faulty(options, {
        prepare: () => ({ sum: 1n }),
        commit: () => undefined,
        abort: () => undefined,
        rebuild: () => undefined,
      }),
    });
}

export const a = plain('a');
export const b = plain('b');
export const c = plain('c');
export const d = plain('d');
export const e = plain('e');

export const number = 7;
