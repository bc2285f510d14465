/** Drives the calls of the other layer on a memory of its own, without a guest, and moves it between layers. */
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { createGuestResources } from '../../src/handle/guest-resources.ts';
import { presentPageCount } from '../../src/image/head.ts';
import { capturePages } from '../../src/image/memory-capture.ts';
import type { Reason } from '../../src/resource/provider.ts';
import type { Calls } from '../../src/wasi/calls.ts';
import type { WasiEnvironment } from '../../src/wasi/environment.ts';
import type { CopiedDirectory } from '../../src/wasi/wasmer-copy.ts';
import { WasmerLayer, type WasmerOptions } from '../../src/wasi/wasmer-layer.ts';
import { type EngineMemory, engine } from '../../src/wasm/engine.ts';
import type { Host } from '../wasi/harness.ts';

const MEMORY_PAGES = 4;
export const MEMORY_PAGES_MAX = 256;

export interface WasmerGuest {
  readonly layer: WasmerLayer;
  readonly calls: Calls;
  readonly memory: GuestMemory;
  readonly environment: WasiEnvironment;
}

export interface Moved {
  readonly state: CborValue;
  /** Copies: the layer they came from may go on. */
  readonly own: Uint8Array;
  readonly guest: Uint8Array;
}

/** A guest at its beginning. Each has a copy of the package of its own. */
export function startWasmer(
  host: Host,
  options: Partial<WasmerOptions> = {},
  copied: readonly CopiedDirectory[] = [],
): WasmerGuest {
  const layer = new WasmerLayer({
    args: ['prog', 'ü'],
    env: ['A=1'],
    realtimeNs: () => host.clock.realtimeNs,
    memoryPagesMax: MEMORY_PAGES_MAX,
    ...options,
  });
  const own: EngineMemory = new engine.Memory({ initial: MEMORY_PAGES });
  const resources = createGuestResources(host.grants({ preopens: [] }));
  const environment: WasiEnvironment = {
    memory: new GuestMemory(() => own),
    args: [],
    env: [],
    handles: resources.handles,
    connections: resources.connections,
    native: null,
    clock: resources.clock,
    random: resources.random,
    pause: {
      wait: (untilNs, { stdin }) => {
        const scripted = host.waits.shift();
        if (scripted === undefined) throw new Error('would wait for ever');
        return scripted(untilNs, stdin);
      },
    },
    progress: null,
  };
  const calls = layer.calls(environment);
  layer.attach(own, copied);
  return { layer, calls, memory: environment.memory, environment };
}

export async function captureWasmer({ layer, memory }: WasmerGuest): Promise<Moved> {
  const state = await layer.provider.prepare();
  await layer.provider.commit();
  return { state, own: layer.memory.slice(), guest: memory.bytes.slice() };
}

/** A new layer, as another process would build it, with everything where it was. */
export async function restoreWasmer(
  host: Host,
  { state, own, guest }: Moved,
  options: Partial<WasmerOptions> = {},
  reason: Reason = 'restarted',
): Promise<WasmerGuest> {
  const made = startWasmer(host, options);
  await made.layer.provider.rebuild(made.layer.provider.shape(state), { reason, version: 1 });
  const { memories, pages } = capturePages([own]);
  if (presentPageCount({ memories }) === 0) throw new Error('the layer has no memory at all');
  made.layer.goBackTo(memories[0]!, pages);
  made.memory.bytes.set(guest);
  return made;
}
