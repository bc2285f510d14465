/**
 * Random safepoints of a guest: amounts of fuel and numbers of host calls, named before the run.
 */
import { type Chance, pick } from './random-source.ts';

export interface Safepoint {
  readonly on: 'fuel' | 'call';
  readonly at: number;
}

/** How far an uninterrupted run goes. */
export interface Extent {
  readonly fuel: number;
  readonly calls: number;
}

/**
 * `count` different safepoints. Two in five are host calls, as far as the guest has so many; the last
 * call ends it, so it is not among them.
 */
export function randomSafepoints(chance: Chance, extent: Extent, count: number): Safepoint[] {
  const calls = pick(chance, numbers(extent.calls - 1), Math.floor((count * 2) / 5));
  const fuel = new Set<number>();
  while (fuel.size < Math.min(count - calls.length, extent.fuel)) {
    fuel.add(1 + chance.below(extent.fuel));
  }
  return [
    ...calls.map((at): Safepoint => ({ on: 'call', at })),
    ...[...fuel].sort((a, b) => a - b).map((at): Safepoint => ({ on: 'fuel', at })),
  ];
}

function numbers(count: number): number[] {
  return Array.from({ length: Math.max(0, count) }, (_, at) => at);
}

/** The options of `run` and `restore` that make checkpoints there. */
export function triggerOptions(points: readonly Safepoint[], stop = false): string[] {
  return points.flatMap(({ on, at }) => [`--checkpoint-at-${on}`, `${at}${stop ? ':stop' : ''}`]);
}
