/** Inputs on which a fuzzer once found something, kept so that it is not found again. */
import type { TargetName } from './targets.ts';

export interface FuzzCase {
  readonly target: TargetName;
  readonly what: string;
  readonly hex: string;
}

export const CASES: readonly FuzzCase[] = [];
