/**
 * The functions that a guest imports: each is a safepoint at its entry, and counted when it is done.
 *
 * Invariants:
 * 1. A call that is captured at its entry has done nothing. It is made again, with the same arguments,
 *    when the guest goes on, here or in another process.
 * 2. A call that answers INTERRUPTED is captured with its progress and made again in the same way.
 * 3. What a provider throws ends the guest, past all that the guest could catch with.
 * 4. `calls` counts completed calls, so it is the same at the same point of every run.
 */
import type { CborValue } from '../cbor/cbor.ts';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import type { ImagePendingCall } from '../image/image.ts';
import { type LimitName, LimitReached } from '../resource/limit-reached.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { ProvidedImports } from '../resource/registry.ts';
import type { WasmFunction } from '../wasm/engine.ts';
import type { ModuleImport } from '../wasm/section-import.ts';
import type { FunctionType, ModuleType } from '../wasm/section-type.ts';
import { fromWords, toWords } from './argument-words.ts';
import { providedCall } from './provided-call.ts';
import type { SafepointGate } from './safepoint-gate.ts';
import { leaveTracesOut, noteTraces } from './trace-limit.ts';

type Argument = number | bigint;
export type HostFunction = (...args: Argument[]) => unknown;

export interface HostCallOptions {
  readonly imports: readonly ModuleImport[];
  /** What is provided, by module and name. */
  readonly find: (module: string, name: string) => HostFunction | null;
  /** Those that come from providers, among what is found. */
  readonly provided: ProvidedImports;
  readonly types: readonly ModuleType[];
  readonly gate: SafepointGate;
  /** Calls completed in earlier runs. */
  readonly calls: number;
  /** The calls' memory of what they had done: `WasiEnvironment`. */
  readonly environment: { progress: CborValue };
  /** Told of a limit that a call has reached, which is made again then; absent: the guest ends there. */
  readonly onLimit?: ((limit: LimitName) => void) | undefined;
  /** What to throw so that the guest unwinds. */
  readonly unwinding: () => unknown;
}

interface Pending {
  readonly index: number;
  readonly args: readonly Argument[];
  readonly progress: CborValue;
}

export class HostCalls {
  readonly functions: readonly WasmFunction[];
  readonly #options: HostCallOptions;
  readonly #targets: readonly HostFunction[];
  #failure: { readonly error: unknown } | null = null;
  #pending: Pending | null = null;
  #calls: number;

  constructor(options: HostCallOptions) {
    this.#options = options;
    this.#calls = options.calls;
    const { onLimit } = options;
    const kept = (target: HostFunction): HostFunction =>
      onLimit === undefined ? target : interruptedAtLimit(target, onLimit);
    this.#targets = options.imports.map((wanted) => {
      const { module, name } = wanted;
      const found = options.find(module, name);
      assert(found !== null, 'imports are checked before an instance is made');
      const call = options.provided.get(module)?.get(name);
      if (call === undefined) return kept(found);
      const what = `${module}.${name}`;
      return kept(
        providedCall({ what, call, type: typeOf(wanted, options.types), fail: this.#fail }),
      );
    });
    this.functions = this.#targets.map((target, index) => {
      const { params } = typeOf(options.imports[index]!, options.types);
      return this.#guarded(target, index, params.length) as WasmFunction;
    });
  }

  get calls(): number {
    return this.#calls;
  }

  /** Throws what ended the guest, if a provider failed in a call of its. */
  throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** The guest unwinds, as for a capture: it can catch nothing of that. */
  readonly #fail = (error: unknown): never => {
    this.#failure = { error };
    throw this.#options.unwinding();
  };

  /** The call that the captured guest waits in; null when it stands at a poll. */
  pendingCall(): ImagePendingCall | null {
    if (this.#pending === null) return null;
    const { index, args, progress } = this.#pending;
    const { imports, types } = this.#options;
    const { module, name } = imports[index]!;
    return { module, name, args: toWords(args, typeOf(imports[index]!, types)), progress };
  }

  /** Takes the pending call from an image. Refuses one that this module can't have made. */
  restorePending(call: ImagePendingCall | null): void {
    this.#pending = null;
    if (call === null) return;
    const index = this.#options.imports.findIndex(
      ({ module, name }) => module === call.module && name === call.name,
    );
    const { imports, types } = this.#options;
    const args = index < 0 ? null : fromWords(call.args, typeOf(imports[index]!, types));
    if (args === null) {
      throw new HostError(
        'ERR_MALFORMED_IMAGE',
        "the image's pending call does not fit the module",
      );
    }
    this.#pending = { index, args, progress: call.progress };
  }

  /** Makes the pending call again, and returns its result; a poll has none. */
  readonly complete = (): unknown => {
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null) return undefined;
    const { index, args, progress } = pending;
    const { environment } = this.#options;
    environment.progress = progress;
    leaveTracesOut();
    const result = this.#targets[index]!(...args);
    noteTraces();
    if (result === INTERRUPTED) this.#interrupt(index, args);
    environment.progress = null;
    this.#calls++;
    return result;
  };

  /** One wrapper an arity: rest parameters would cost an array on every call. */
  #guarded(target: HostFunction, index: number, arity: number): HostFunction {
    const { gate } = this.#options;
    switch (arity) {
      case 0:
        return () => {
          if (gate.atCall(this.#calls)) this.#capture(index, []);
          leaveTracesOut();
          const result = target();
          noteTraces();
          if (result === INTERRUPTED) this.#interrupt(index, []);
          this.#calls++;
          return result;
        };
      case 1:
        return (a) => {
          if (gate.atCall(this.#calls)) this.#capture(index, [a!]);
          leaveTracesOut();
          const result = target(a!);
          noteTraces();
          if (result === INTERRUPTED) this.#interrupt(index, [a!]);
          this.#calls++;
          return result;
        };
      case 2:
        return (a, b) => {
          if (gate.atCall(this.#calls)) this.#capture(index, [a!, b!]);
          leaveTracesOut();
          const result = target(a!, b!);
          noteTraces();
          if (result === INTERRUPTED) this.#interrupt(index, [a!, b!]);
          this.#calls++;
          return result;
        };
      case 3:
        return (a, b, c) => {
          if (gate.atCall(this.#calls)) this.#capture(index, [a!, b!, c!]);
          leaveTracesOut();
          const result = target(a!, b!, c!);
          noteTraces();
          if (result === INTERRUPTED) this.#interrupt(index, [a!, b!, c!]);
          this.#calls++;
          return result;
        };
      case 4:
        return (a, b, c, d) => {
          if (gate.atCall(this.#calls)) this.#capture(index, [a!, b!, c!, d!]);
          leaveTracesOut();
          const result = target(a!, b!, c!, d!);
          noteTraces();
          if (result === INTERRUPTED) this.#interrupt(index, [a!, b!, c!, d!]);
          this.#calls++;
          return result;
        };
      default:
        return (...args) => {
          if (gate.atCall(this.#calls)) this.#capture(index, args);
          leaveTracesOut();
          const result = target(...args);
          noteTraces();
          if (result === INTERRUPTED) this.#interrupt(index, args);
          this.#calls++;
          return result;
        };
    }
  }

  /** The guest unwinds from the entry of this call. */
  #capture(index: number, args: readonly Argument[]): never {
    this.#pending = { index, args, progress: null };
    throw this.#options.unwinding();
  }

  /** The guest unwinds from the midst of this call. */
  #interrupt(index: number, args: readonly Argument[]): never {
    const { environment, gate } = this.#options;
    this.#pending = { index, args, progress: environment.progress };
    environment.progress = null;
    if (!gate.interrupted()) this.#fail(uncalledFor(this.#options.imports[index]!));
    throw this.#options.unwinding();
  }
}

/** A call that reaches a limit has done nothing: it gives way to the capture. */
function interruptedAtLimit(
  target: HostFunction,
  onLimit: (limit: LimitName) => void,
): HostFunction {
  return (...args) => {
    try {
      return target(...args);
    } catch (error) {
      if (!(error instanceof LimitReached)) throw error;
      onLimit(error.limit);
      return INTERRUPTED;
    }
  };
}

function typeOf(wanted: ModuleImport, types: readonly ModuleType[]): FunctionType {
  const type = wanted.kind === 'func' ? types[wanted.typeIndex] : undefined;
  assert(type?.kind === 'func', 'a module that was instrumented imports functions only');
  return type;
}

/** INTERRUPTED although no checkpoint is asked for: only a provider can get this wrong. */
function uncalledFor({ module, name }: ModuleImport): HostError {
  const what = `${module}.${name}`;
  return new HostError(
    'ERR_PROVIDER',
    `The function ${what} gave way to a checkpoint that nobody asked for.`,
    { facts: { import: what }, hint: "give INTERRUPTED only after pause.wait said 'interrupted'" },
  );
}
