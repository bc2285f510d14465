/**
 * A guest's WASI calls on `@wasmer/wasi` instead of ours.
 *
 *   built ── attach ──→ in use (at a restart: goBackTo first) ── a call broke down ──→ broken
 *
 * The package's files are in memory. Standard input and output are pipes in it, too: input is put in when
 * the guest reads an empty one, output is taken out after each write, so that both go on across a
 * checkpoint as they do with our own layer.
 *
 * Invariants:
 * 1. `proc_exit` and `random_get` are ours: the package ends a guest by an exception of its own, and
 *    keeps a source of randomness in its table of objects. Clocks are the package's, and tell our time.
 * 2. A call that throws in the package ends the guest, and no call comes after it: the package's stack and
 *    locks are then as they happened to be.
 * 3. Nothing of the guest's is outside of the package's memory but what `wasmer-state.ts` has.
 */
import { createHash } from 'node:crypto';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import type { ImageMemory } from '../image/image.ts';
import { restorePages } from '../image/memory-capture.ts';
import { OWN_PROVIDERS } from '../resource/own-providers.ts';
import { defineProvider, type Provider } from '../resource/provider.ts';
import {
  type EngineImports,
  type EngineInstance,
  type EngineMemory,
  engine,
} from '../wasm/engine.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { layerIdentity } from './layers.ts';
import { wasmerCalls } from './wasmer-calls.ts';
import { type CopiedDirectory, copyDirectory } from './wasmer-copy.ts';
import { compileDoor, DOOR_MEMORY, DOOR_MODULE } from './wasmer-door.ts';
import {
  loadWasmer,
  type WasmerCall,
  type WasmerPackage,
  type WasmerWasi,
} from './wasmer-package.ts';
import { sameObjects, WASMER_KIND, type WasmerState, wasmerShape } from './wasmer-state.ts';

const PAGE_BYTES = 65_536;
const NS_A_MS = 1_000_000n;
/** What the package needs for itself, before there is a file. */
const OWN_PAGES = 64;

export interface WasmerOptions {
  readonly args: readonly string[];
  /** `K=V` each. */
  readonly env: readonly string[];
  readonly realtimeNs: () => bigint;
  /** Of the guest. The package may have as many, and what it needs for itself. */
  readonly memoryPagesMax: number;
}

export class WasmerLayer {
  /** Carries what is not in `memory` through a checkpoint. */
  readonly provider: Provider;
  readonly #package: WasmerPackage;
  readonly #wasi: WasmerWasi;
  readonly #calls: Readonly<Record<string, WasmerCall>>;
  readonly #door = compileDoor();
  readonly #pagesMax: number;
  readonly #stackPointer: number;
  #foundation = new Uint8Array(0);
  #objects = '';
  #stdin: number | null = 0;
  #broken: string | null = null;

  /** Throws ERR_USAGE for arguments or variables that the package refuses. */
  constructor({ args, env, realtimeNs, memoryPagesMax }: WasmerOptions) {
    this.#pagesMax = memoryPagesMax + OWN_PAGES;
    this.#package = loadWasmer({
      nowMs: () => Number(realtimeNs() / NS_A_MS),
      memoryPagesMax: this.#pagesMax,
    });
    this.#stackPointer = this.#package.stackPointer();
    try {
      this.#wasi = this.#package.create({ args, env: variables(env), preopens: { '.': '/' } });
    } catch (cause) {
      throw new HostError('ERR_USAGE', '@wasmer/wasi does not take these arguments or variables.', {
        cause,
        facts: { reason: cause instanceof Error ? cause.message : String(cause) },
        hint: 'run the guest without --wasi wasmer',
      });
    }
    this.#calls = this.#wasi.getImports(this.#door)['wasi_snapshot_preview1']!;
    this.provider = this.#makeProvider();
  }

  /** The calls, on the memory that is attached later. */
  calls(environment: WasiEnvironment): Calls {
    return wasmerCalls(environment, {
      wasi: this.#wasi,
      calls: this.#calls,
      guard: (name, work) => this.#guard(name, work),
      stdin: {
        get: () => this.#stdin,
        set: (fd) => {
          this.#stdin = fd;
        },
      },
    });
  }

  /**
   * Shows the package the guest's memory, which must be there by now, and copies directories in. Throws
   * ERR_UNSUPPORTED_FEATURE for a memory with 64-bit addresses, and what `copyDirectory` throws.
   */
  attach(memory: EngineMemory | null, copied: readonly CopiedDirectory[]): void {
    assert(this.#objects === '', 'a layer has one guest');
    this.#wasi.instantiate(this.#instantiateDoor(memory ?? new engine.Memory({ initial: 0 })));
    this.#foundation = createHash('sha256').update(this.memory).digest();
    this.#objects = this.#package.objects();
    const { fs } = this.#wasi;
    for (const directory of copied) copyDirectory(fs, directory);
    fs.free();
    this.#package.seal();
  }

  #instantiateDoor(memory: EngineMemory): EngineInstance {
    const imports: EngineImports = {
      wasi_snapshot_preview1: this.#calls as unknown as EngineImports[string],
      [DOOR_MODULE]: { [DOOR_MEMORY]: memory },
    };
    try {
      return new engine.Instance(this.#door, imports);
    } catch (error) {
      if (!(error instanceof engine.LinkError)) throw error;
      throw new HostError(
        'ERR_UNSUPPORTED_FEATURE',
        '@wasmer/wasi works only on a memory with 32-bit addresses.',
        { facts: { reason: error.message }, hint: 'run the guest without --wasi wasmer' },
      );
    }
  }

  /** A view of the package's memory; it goes stale when a call is made. */
  get memory(): Uint8Array {
    return new Uint8Array(this.#package.memory.buffer);
  }

  /** Puts the memory of an image in place, after the provider's rebuild. */
  goBackTo(image: ImageMemory, pages: Uint8Array): void {
    const { memory } = this.#package;
    const more = image.sizePages - memory.buffer.byteLength / PAGE_BYTES;
    if (more < 0) {
      throw new HostError('ERR_MALFORMED_IMAGE', "The image's memories do not fit the WASI layer.");
    }
    if (image.sizePages > this.#pagesMax) {
      throw new HostError(
        'ERR_RESOURCE_NOT_GRANTED',
        'the files in the image need more memory than this run allows',
        {
          facts: {
            neededPages: image.sizePages - OWN_PAGES,
            allowedPages: this.#pagesMax - OWN_PAGES,
          },
          hint: 'raise --max-memory',
        },
      );
    }
    if (more > 0) memory.grow(more);
    restorePages([this.memory], [image], pages);
  }

  #makeProvider(): Provider {
    return defineProvider<WasmerState>({
      kind: WASMER_KIND,
      version: OWN_PROVIDERS['wasmer-wasi'].version,
      shape: wasmerShape,
      prepare: () => {
        this.#checkAtRest();
        return {
          identity: layerIdentity('wasmer'),
          foundation: this.#foundation,
          stdin: this.#stdin,
        };
      },
      // Nothing of it is outside of the process.
      commit: () => undefined,
      abort: () => undefined,
      rebuild: ({ identity, foundation, stdin }, { reason }) => {
        if (reason === 'resumed' || reason === 'aborted') return;
        if (identity !== layerIdentity('wasmer')) {
          throw new HostError('ERR_SOFTWARE_MISMATCH', 'The image belongs to another WASI layer.', {
            facts: { sealed: identity, now: layerIdentity('wasmer') },
            hint: 'restore it with the version that sealed it, or run the job from its start',
          });
        }
        if (!Buffer.from(foundation).equals(this.#foundation)) {
          throw new HostError(
            'ERR_SOFTWARE_MISMATCH',
            'The WASI layer of the image was not built as the one of today.',
            { hint: 'run the job from its start' },
          );
        }
        this.#stdin = stdin;
      },
    });
  }

  #checkAtRest(): void {
    const atRest =
      this.#broken === null &&
      this.#package.stackPointer() === this.#stackPointer &&
      sameObjects(this.#objects, this.#package.objects());
    if (atRest) return;
    throw new HostError('ERR_NOT_CAPTURABLE', 'The WASI layer @wasmer/wasi is not at rest.', {
      facts: { 'broke down in': this.#broken ?? 'no call' },
      hint: 'run the guest without --wasi wasmer',
    });
  }

  /** Makes a call of the package's; one that throws ends the guest, and every later one does as well. */
  #guard<T>(name: string, work: () => T): T {
    if (this.#broken !== null) throw brokeDown(this.#broken, 'and was called again');
    try {
      return work();
    } catch (error) {
      this.#broken = name;
      if (error instanceof RangeError) throw error;
      throw brokeDown(name, error instanceof Error ? error.message : String(error));
    }
  }
}

/** As a trap: the guest ran into it, and it ends there. */
function brokeDown(name: string, how: string): Error {
  return new engine.RuntimeError(`@wasmer/wasi broke down in ${name}: ${how}`);
}

function variables(env: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    env.map((entry) => {
      const at = entry.indexOf('=');
      return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}
