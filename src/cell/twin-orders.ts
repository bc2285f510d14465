/**
 * What is said between a guest's thread, which needs twins, and the workshop, which makes them.
 *
 * Invariants:
 * 1. Orders are numbered from 1, and answered in their order, each with one batch.
 * 2. A batch holds twins for the places ordered that no batch since the last `forget` held; an order of
 *    optimised ones counts only batches of those.
 */
import type { ErrorCode } from '../fault/codes.ts';
import type { Place } from '../instrument/site-positions.ts';
import type { EngineModule } from '../wasm/engine.ts';

/** A call found in a stack trace: in the guest's module, or in that of a batch of twins. */
export interface TracedCall {
  /** Number of the batch; `GUEST_MODULE` for the guest's own module. */
  readonly batch: number;
  /** Of the call's opcode, in bytes from the start of the module. */
  readonly position: number;
}

export const GUEST_MODULE = 0;

export interface TwinOrder {
  readonly number: number;
  readonly places: readonly Place[];
  /** Calls whose places are not known yet: they are to be found, and ordered as well. */
  readonly traced: readonly TracedCall[];
  /**
   * The engine is to optimise these twins at once, for a guest that stays in them: see
   * `stack-replacement.ts`. Places whose twins are not are ordered anew.
   */
  readonly optimised: boolean;
  /** All twins of earlier batches were dropped. */
  readonly forget: boolean;
}

export interface TwinBatch {
  readonly number: number;
  /** Every call that was traced. */
  readonly found: readonly FoundCall[];
  /** null when there was nothing to make. */
  readonly twins: CompiledTwins | null;
  /** Why there are no twins for these places. */
  readonly failure: TwinFailure | null;
}

export interface FoundCall {
  readonly call: TracedCall;
  /** null for a call that is no site's. */
  readonly place: Place | null;
}

/** A resume module: see `instrument/resume-module.ts`. */
export interface CompiledTwins {
  readonly module: EngineModule;
  readonly sizeBytes: number;
  readonly functions: readonly number[];
  readonly places: readonly Place[];
  readonly optimised: boolean;
}

/** A `HostError`, taken apart to cross to another thread. */
export interface TwinFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
}

/** Where a guest's thread orders twins. */
export interface TwinSource {
  /** Places an order; its batch comes later. */
  send(order: TwinOrder): void;
  /** The next batch if it is there already. */
  arrived(): TwinBatch | null;
  /** The next batch, waited for. */
  receive(): TwinBatch;
  /** Whether twins are made while the guest runs on: only then is it worth ordering ahead. */
  readonly makesAhead: boolean;
}

/** How the module of a batch is called; the engine's stack traces say that name. */
export function batchName(number: number): string {
  return NAME + number;
}

/** The number of the batch with that name; null when it is none's. */
export function numberOfBatch(name: string): number | null {
  const number = name.startsWith(NAME) ? Number(name.slice(NAME.length)) : 0;
  return Number.isSafeInteger(number) && number > 0 ? number : null;
}

const NAME = 'stasis-twins-';
