/**
 * What a guest is given by its start message: streams, directories, sockets, providers.
 *
 * Providers of ours are loaded when the module imports what they offer, and at no other time: a guest
 * without databases or pools need not wait for their code.
 */
import type { Grants } from '../handle/grants.ts';
import { KV_IMPORTS } from '../kv/kv-grant.ts';
import { POOL_IMPORTS } from '../pool/import-module.ts';
import type { Provider } from '../resource/provider.ts';
import type { WasmerLayer } from '../wasi/wasmer-layer.ts';
import type { ModuleImport } from '../wasm/section-import.ts';
import { createDescriptorStdin, type DescriptorStdin } from './descriptor-stdin.ts';
import type { GuestWorld } from './guest-world.ts';
import { createOutputBudget, createOutputSink } from './output-sink.ts';
import type { GuestStream, StartMessage } from './protocol.ts';
import { createSharedStdin, type SharedStdin } from './shared-stdin.ts';

export type GuestStdin = SharedStdin | DescriptorStdin;

export interface GivenGrants {
  readonly grants: Grants;
  readonly stdin: GuestStdin;
}

/** For a module with these imports, on that layer; null: on ours. Throws as the user's providers do. */
export async function giveGrants(
  world: GuestWorld,
  start: StartMessage,
  imports: readonly ModuleImport[],
  layer: WasmerLayer | null,
): Promise<GivenGrants> {
  const { logFd, streams } = start;
  const budget = createOutputBudget(start.limits.outputBytes);
  const sink = (stream: 1 | 2, to: GuestStream | null): Grants['stdout'] =>
    createOutputSink({
      stream,
      logFd,
      hostFd: to?.fd ?? null,
      isOwn: to?.isOwn ?? false,
      native: world.native,
      budget,
      nowNs: () => world.clock.realtimeNs(),
    });
  const stdin = openStdin(world, start);
  const grants: Grants = {
    // The other layer has its files in memory.
    listeners: start.listeners,
    preopens: layer === null ? start.preopens : [],
    ...(start.keeping === null
      ? {}
      : { keeping: { ...start.keeping, keptBytesMax: start.limits.privateBytes } }),
    handlesMax: start.limits.handles,
    filesMax: start.limits.files,
    clockGrain: start.clock,
    stdin,
    stdout: sink(1, streams.stdout),
    stderr: sink(2, streams.stderr),
    clock: world.clock,
    random: world.random,
    secrets: start.secrets,
    providers: [
      ...(await ownProviders(world, start, imports)),
      ...(layer === null ? [] : [layer.provider]),
      ...(await foreignProviders(world, start)),
    ],
  };
  return { grants, stdin };
}

/** Read by this thread where it can wait for a descriptor; else brought by the main thread. */
function openStdin(
  { native, shared, wishStdin }: GuestWorld,
  { streams }: StartMessage,
): GuestStdin {
  if (native === null) return createSharedStdin(shared, wishStdin);
  return createDescriptorStdin(streams.stdin, native);
}

/** By the module alone, so that a restore has the same providers as the run before. */
async function ownProviders(
  { random }: GuestWorld,
  start: StartMessage,
  imports: readonly ModuleImport[],
): Promise<Provider[]> {
  const uses = (name: string): boolean => imports.some(({ module }) => module === name);
  const providers: Provider[] = [];
  if (uses(POOL_IMPORTS)) {
    const { createPoolProvider } = await import('../pool/pool-provider.ts');
    const { poolCalls } = await import('../pool/pool-calls.ts');
    providers.push(createPoolProvider({ grants: start.pools, random, calls: poolCalls() }));
  }
  if (uses(KV_IMPORTS)) {
    const { createKvProvider } = await import('../kv/kv-provider.ts');
    providers.push(createKvProvider(start.kv));
  }
  return providers;
}

async function foreignProviders(
  { shared }: GuestWorld,
  { providers }: StartMessage,
): Promise<Provider[]> {
  if (providers.length === 0) return [];
  const { loadForeignProviders } = await import('./foreign-providers.ts');
  return loadForeignProviders(providers, shared);
}
