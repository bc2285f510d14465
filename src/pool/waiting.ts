/** How somebody waits for what another process holds: in short sleeps, up to a limit. */
import type { Clock } from '../resource/clock.ts';

export interface Waiting {
  /** Sleeps a little, longer each time. */
  wait(): 'waited' | 'interrupted' | 'timeout';
  /** Sleeps longer than anybody sleeps between two tries. */
  waitLongest(): 'waited' | 'interrupted' | 'timeout';
  /** Milliseconds since the first sleep began. */
  waitedMs(): number;
}

/** Begins to wait, for so many milliseconds at most. */
export type Waits = (limitMs: number) => Waiting;

const FIRST_NS = 100_000n;
const LONGEST_NS = 2_000_000n;
const NS_A_MS = 1_000_000n;

/** `sleep` blocks until a moment of `clock`; what it answers but `timeout` ends the waiting. */
export function waitingFor(options: {
  readonly clock: Pick<Clock, 'monotonicNs'>;
  readonly sleep: (untilNs: bigint) => 'timeout' | 'ready' | 'interrupted';
  readonly limitMs: number;
}): Waiting {
  const { clock, sleep, limitMs } = options;
  let nextNs = FIRST_NS;
  let beganNs: bigint | null = null;
  const sleepFor = (ns: bigint): 'waited' | 'interrupted' | 'timeout' => {
    const nowNs = clock.monotonicNs();
    beganNs ??= nowNs;
    if (nowNs >= beganNs + BigInt(limitMs) * NS_A_MS) return 'timeout';
    return sleep(nowNs + ns) === 'interrupted' ? 'interrupted' : 'waited';
  };
  return {
    wait: () => {
      const ns = nextNs;
      nextNs = nextNs * 2n > LONGEST_NS ? LONGEST_NS : nextNs * 2n;
      return sleepFor(ns);
    },
    waitLongest: () => sleepFor(LONGEST_NS + LONGEST_NS / 2n),
    waitedMs: () => (beganNs === null ? 0 : Number((clock.monotonicNs() - beganNs) / NS_A_MS)),
  };
}

/** Sleeps that nothing interrupts: for what happens around a checkpoint, when the guest stands still. */
export function sleeper(clock: Pick<Clock, 'monotonicNs'>): (untilNs: bigint) => 'timeout' {
  const word = new Int32Array(new SharedArrayBuffer(4));
  return (untilNs) => {
    const leftNs = untilNs - clock.monotonicNs();
    if (leftNs > 0n) Atomics.wait(word, 0, 0, Number(leftNs) / Number(NS_A_MS));
    return 'timeout';
  };
}
