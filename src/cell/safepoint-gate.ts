/**
 * Decides at each safepoint whether the guest is captured there, and for whom.
 *
 * Safepoints are polls and host calls. Four can ask: the host (a request number in the shared words),
 * a trigger that was set beforehand, the guest itself, and a limit that it reached. A request names no safepoint, so it may be put
 * off for a moment (`LookAhead`), unless the guest is to end there.
 */
import type { LimitName } from '../resource/limit-reached.ts';
import type { FuelMeter } from './fuel-meter.ts';
import type { CaptureCauseName, Trigger } from './protocol.ts';
import { type SharedControl, WORD } from './shared-control.ts';

export interface CaptureCause {
  readonly cause: CaptureCauseName;
  /** Number of the host's request that this answers; 0 for none. */
  readonly request: number;
  /** The guest ends once the image is sealed. */
  readonly stop: boolean;
  /** Of cause `limit`, which one. */
  readonly limit: LimitName | null;
}

/** What `LookAhead` says of this safepoint. */
export interface Ahead {
  isReady(): boolean;
  prepare(): void;
  captured(): void;
}

const NO_CALL = -1;

export class SafepointGate {
  readonly #words: Int32Array;
  readonly #meter: FuelMeter;
  readonly #fuelStops = new Map<bigint, boolean>();
  readonly #lookAhead: Ahead;
  readonly #callStops: { readonly call: number; readonly stop: boolean }[];
  /** The next host call that is captured at its entry, or NO_CALL. */
  #nextCall: number;
  #answered = 0;
  #cause: CaptureCause | null = null;
  /** Reached where nothing can be captured: at the next safepoint. */
  #limit: LimitName | null = null;

  /** `calls`: host calls made in earlier runs; triggers behind them and behind the fuel used have passed. */
  constructor(
    shared: SharedControl,
    meter: FuelMeter,
    triggers: readonly Trigger[],
    calls: number,
    lookAhead: Ahead,
  ) {
    this.#lookAhead = lookAhead;
    this.#words = shared.words;
    this.#meter = meter;
    const callStops = new Map<number, boolean>();
    for (const trigger of triggers) {
      if ('fuel' in trigger) {
        if (trigger.fuel <= meter.used) continue;
        this.#fuelStops.set(trigger.fuel, trigger.stop);
        meter.stopAt(trigger.fuel);
      } else if (trigger.call >= calls) callStops.set(Number(trigger.call), trigger.stop);
    }
    this.#callStops = [...callStops]
      .map(([call, stop]) => ({ call, stop }))
      .sort((a, b) => a.call - b.call);
    this.#nextCall = this.#callStops[0]?.call ?? NO_CALL;
  }

  /** Why the guest is being captured; null when it is not. */
  takeCause(): CaptureCause | null {
    const cause = this.#cause;
    this.#cause = null;
    return cause;
  }

  /** At a poll: whether to capture. */
  atPoll(): boolean {
    if (this.#meter.isSpent) this.#limit ??= 'fuel';
    if (this.#limit !== null) return this.#atLimit();
    const stop = this.#meter.takeStop();
    if (stop !== null) {
      this.#set('trigger', this.#fuelStops.get(stop) ?? false);
      return true;
    }
    return this.#atRequest();
  }

  /** At the entry of host call number `call`: whether to capture. */
  atCall(call: number): boolean {
    if (this.#limit !== null) return this.#atLimit();
    if (call === this.#nextCall) {
      const { stop } = this.#callStops.shift()!;
      this.#nextCall = this.#callStops[0]?.call ?? NO_CALL;
      this.#set('trigger', stop);
      return true;
    }
    // Plain reads, many times as fast: what they miss is seen at the next call, and what they see is looked
    // at with care.
    const words = this.#words;
    if (words[WORD.request] === this.#answered && words[WORD.prepare] === 0) return false;
    return this.#atRequest();
  }

  /** Whether the host asks for a checkpoint that was not answered yet, and this is the time for it. */
  get isDue(): boolean {
    if (this.#limit !== null) return true;
    const requested = Atomics.load(this.#words, WORD.request);
    if (requested === this.#answered) return false;
    return this.#isStopAsked() || this.#lookAhead.isReady();
  }

  /**
   * In the midst of a call: woken because it `isDue`, unless the guest asks itself. False when neither
   * is so.
   */
  interrupted(): boolean {
    return this.#cause !== null || this.#atRequest();
  }

  /** The guest has reached a limit, and is to be captured at the next safepoint, which is this one in a call. */
  limitReached(limit: LimitName): void {
    this.#limit ??= limit;
  }

  #atLimit(): boolean {
    const limit = this.#limit;
    this.#limit = null;
    this.#set('limit', true, limit);
    return true;
  }

  askedByGuest(): void {
    this.#set('guest', false);
  }

  #atRequest(): boolean {
    if (this.#limit !== null) return this.#atLimit();
    if (this.isDue) {
      this.#set('request', false);
      return true;
    }
    if (Atomics.load(this.#words, WORD.prepare) !== 0) {
      Atomics.store(this.#words, WORD.prepare, 0);
      this.#lookAhead.prepare();
    }
    return false;
  }

  #isStopAsked(): boolean {
    return Atomics.load(this.#words, WORD.stopRequest) > this.#answered;
  }

  /** Any capture answers the request that is waiting. */
  #set(cause: CaptureCause['cause'], stop: boolean, limit: LimitName | null = null): void {
    const words = this.#words;
    const before = this.#answered;
    const stopAsked = this.#isStopAsked();
    this.#answered = Atomics.load(words, WORD.request);
    this.#lookAhead.captured();
    this.#cause = {
      cause,
      request: this.#answered === before ? 0 : this.#answered,
      stop: stop || stopAsked,
      limit,
    };
  }
}
