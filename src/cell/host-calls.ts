/**
 * The functions that a guest imports: each is a safepoint at its entry, and counted when it is done.
 *
 * Invariants:
 * 1. A call that is captured at its entry has done nothing. It is made again, with the same arguments,
 *    when the guest goes on, here or in another process.
 * 2. A call that answers INTERRUPTED is captured with its progress and made again in the same way.
 * 3. `calls` counts completed calls, so it is the same at the same point of every run.
 */
import type { CborValue } from '../cbor/cbor.ts';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import type { ImagePendingCall } from '../image/image.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { WasmFunction } from '../wasm/engine.ts';
import type { ModuleImport } from '../wasm/section-import.ts';
import type { SafepointGate } from './safepoint-gate.ts';

type Argument = number | bigint;
export type HostFunction = (...args: Argument[]) => unknown;

export interface HostCallOptions {
  readonly imports: readonly ModuleImport[];
  /** What is provided, by module and name. */
  readonly find: (module: string, name: string) => HostFunction | null;
  readonly gate: SafepointGate;
  /** Calls completed in earlier runs. */
  readonly calls: number;
  /** The calls' memory of what they had done: `WasiEnvironment`. */
  readonly environment: { progress: CborValue };
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
  #pending: Pending | null = null;
  #calls: number;

  constructor(options: HostCallOptions) {
    this.#options = options;
    this.#calls = options.calls;
    this.#targets = options.imports.map(({ module, name }) => {
      const found = options.find(module, name);
      assert(found !== null, 'imports are checked before an instance is made');
      return found;
    });
    this.functions = this.#targets.map((target, index) => this.#guarded(target, index));
  }

  get calls(): number {
    return this.#calls;
  }

  /** The call that the captured guest waits in; null when it stands at a poll. */
  pendingCall(): ImagePendingCall | null {
    if (this.#pending === null) return null;
    const { index, args, progress } = this.#pending;
    const { module, name } = this.#options.imports[index]!;
    return { module, name, args, progress };
  }

  /** Takes the pending call from an image. Refuses one that this module can't have made. */
  restorePending(call: ImagePendingCall | null): void {
    this.#pending = null;
    if (call === null) return;
    const index = this.#options.imports.findIndex(
      ({ module, name }) => module === call.module && name === call.name,
    );
    const fits = call.args.every(
      (arg) => typeof arg === 'bigint' || (Number.isInteger(arg) && (arg | 0) === arg),
    );
    if (index < 0 || !fits) {
      throw new HostError(
        'ERR_MALFORMED_IMAGE',
        "the image's pending call does not fit the module",
      );
    }
    this.#pending = { index, args: call.args, progress: call.progress };
  }

  /** Makes the pending call again, and returns its result; a poll has none. */
  readonly complete = (): unknown => {
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null) return undefined;
    const { index, args, progress } = pending;
    const { environment } = this.#options;
    environment.progress = progress;
    const result = this.#targets[index]!(...args);
    if (result !== INTERRUPTED) environment.progress = null;
    return this.#finish(result, index, args);
  };

  #guarded(target: HostFunction, index: number): WasmFunction {
    const { gate } = this.#options;
    return ((...args: Argument[]) => {
      if (gate.atCall(this.#calls)) {
        this.#pending = { index, args, progress: null };
        throw this.#options.unwinding();
      }
      return this.#finish(target(...args), index, args);
    }) as WasmFunction;
  }

  #finish(result: unknown, index: number, args: readonly Argument[]): unknown {
    if (result === INTERRUPTED) {
      const { environment, gate } = this.#options;
      this.#pending = { index, args, progress: environment.progress };
      environment.progress = null;
      gate.interrupted();
      throw this.#options.unwinding();
    }
    this.#calls++;
    return result;
  }
}
