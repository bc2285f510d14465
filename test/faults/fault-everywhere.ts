/**
 * One piece of work done again and again on one vault, each time with a fault one operation later, until it comes
 * through without meeting it.
 */
import { HostError } from '../../src/fault/host-error.ts';
import { type DiskOperation, type Fault, isLasting } from './disk-operation.ts';
import type { Recorder, Step } from './recording.ts';

export interface FaultPlan {
  readonly name: string;
  readonly fault: Fault;
  /** At one operation, or at that and all after it. */
  readonly lasts: 'once' | 'for ever';
  /** Which operations it can befall; the others are passed by. */
  readonly befalls: (operation: DiskOperation) => boolean;
}

const changesOrSyncs = isLasting;
const moves = ({ kind }: DiskOperation): boolean => kind === 'read' || kind === 'write';
const anything = (): boolean => true;

function plan(
  code: string | null,
  lasts: FaultPlan['lasts'],
  befalls: FaultPlan['befalls'],
  torn = false,
): FaultPlan {
  const what = code === null ? 'half of it' : torn ? `${code} after half` : code;
  return { name: `${what} ${lasts}`, fault: { code, torn }, lasts, befalls };
}

/** EINTR for ever would be tried again for ever: nobody sends a process signals for ever. */
export const FAULT_PLANS: readonly FaultPlan[] = [
  plan('EIO', 'once', anything),
  plan('EIO', 'for ever', anything),
  plan('ENOSPC', 'once', changesOrSyncs),
  plan('ENOSPC', 'for ever', changesOrSyncs),
  plan('EINTR', 'once', anything),
  plan('EIO', 'once', ({ kind }) => kind === 'write', true),
  plan(null, 'once', moves),
  plan(null, 'for ever', moves),
];

export interface Met {
  /** The operation that met the fault first. */
  readonly step: Step;
  /** What was being done then. */
  readonly phase: string;
  /** null when the work succeeded. */
  readonly error: HostError | null;
  /** Operations recorded when the work had come to its end. */
  readonly roundEnd: number;
}

/**
 * Runs `work` with the fault at its first operation, its second, and so on. `after` is called each time
 * with the fault lifted. Throws when anything but a HostError comes out.
 */
export async function faultEverywhere(
  recorder: Recorder,
  { fault, lasts, befalls }: FaultPlan,
  work: (round: number) => Promise<unknown>,
  after: (met: Met | null, round: number) => Promise<void>,
  first = 0,
): Promise<readonly Met[]> {
  const all: Met[] = [];
  for (let round = first; ; round++) {
    let passed = 0;
    let step: Step | null = null;
    let phase = '';
    recorder.decide = (candidate) => {
      if (!befalls(candidate.operation)) return null;
      const hits = lasts === 'once' ? passed === round : passed >= round;
      passed++;
      if (!hits) return null;
      if (step === null) phase = recorder.phase;
      step ??= { ...candidate, fault };
      return fault;
    };
    let error: HostError | null = null;
    try {
      await work(round);
    } catch (failure) {
      if (!(failure instanceof HostError)) throw failure;
      error = failure;
    } finally {
      recorder.decide = () => null;
    }
    if (step === null) {
      if (error !== null) throw new Error('the work failed without a fault', { cause: error });
      await after(null, round);
      return all;
    }
    const met = { step, phase, error, roundEnd: recorder.steps.length };
    all.push(met);
    await after(met, round);
  }
}
