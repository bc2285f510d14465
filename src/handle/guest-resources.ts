/**
 * All that a guest holds outside of its memory: made for a new guest, or again from an image.
 *
 * The handles' states go into the image's `handles`, the other providers' into its `providers`; beneath,
 * both are providers of one registry, in this order: clock, random, secrets, files, handles, the grant's
 * own.
 */

import {
  RIGHTS_OF_DIRECTORIES,
  RIGHTS_OF_FILES,
  RIGHTS_OF_OUTPUT,
  RIGHTS_OF_STDIN,
} from '../abi/rights.ts';
import type { CborValue } from '../cbor/cbor.ts';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import type { ImageProvider } from '../image/image.ts';
import { BOUNDS_DEFAULT } from '../resource/bounds.ts';
import { createGuestClock } from '../resource/clock.ts';
import { OWN_PROVIDERS } from '../resource/own-providers.ts';
import { createFreshness } from '../resource/random.ts';
import { type ProvidedImports, ProviderRegistry } from '../resource/registry.ts';
import { SecretRegions } from '../resource/secrets.ts';
import { openAnchor } from './anchor.ts';
import { Connections } from './connection.ts';
import { createFilesProvider } from './files-provider.ts';
import type { CapturedResources, Grants, GuestResources } from './grants.ts';
import { createHandleProvider, HANDLES_KIND } from './handle-provider.ts';
import { type Holdings, releaseHandle } from './handle-state.ts';
import { filesOf, type Handle, HandleTable } from './handle-table.ts';
import { KeptBytes } from './kept-bytes.ts';
import { closeListener, holdListener, openListeners } from './listener.ts';
import { closePreopens, openPreopens, type Preopen, policyOf } from './preopens.ts';
import { Rollback } from './rollback.ts';
import { undoChainIn } from './undo-chain.ts';
import { UnnamedFiles } from './unnamed-files.ts';

/** For a new guest: 0 to 2 are its streams, listeners and directories follow. Throws HostError. */
export function createGuestResources(grants: Grants): GuestResources {
  const parts = assemble(grants);
  try {
    for (const make of firstHandles(parts.holdings)) insertFirst(parts.handles, make);
    return parts.resources;
  } catch (failure) {
    parts.resources.close();
    throw failure;
  }
}

/**
 * For a guest that goes on from an image: nothing is held until `rebuild`, which comes when the guest's
 * memory is in place. Throws HostError.
 */
export function emptyGuestResources(grants: Grants): GuestResources {
  return assemble(grants).resources;
}

/** `emptyGuestResources` and its `rebuild` in one. Nothing stays open when it rejects. */
export async function restoreGuestResources(
  captured: CapturedResources,
  grants: Grants,
  reason: 'restarted' | 'cloned',
): Promise<GuestResources> {
  const resources = emptyGuestResources(grants);
  try {
    await resources.rebuild(captured, reason);
    return resources;
  } catch (failure) {
    resources.close();
    throw failure;
  }
}

interface Parts {
  readonly resources: GuestResources;
  readonly handles: HandleTable;
  readonly holdings: Holdings;
}

function assemble(grants: Grants): Parts {
  const handles = new HandleTable(grants.handlesMax, grants.filesMax);
  const registry = new ProviderRegistry();
  const { clock, provider: clockProvider } = createGuestClock(grants.clock, grants.clockGrain);
  const { stdin, stdout, stderr, random } = grants;
  const freshness = createFreshness(random);
  const secrets = new SecretRegions(grants.secrets ?? []);
  const { keeping = null } = grants;
  const rollback = rollbackOf(grants);
  const kept =
    keeping === null
      ? null
      : new KeptBytes(keeping.directory, keeping.keptBytesMax ?? BOUNDS_DEFAULT.privateBytes);
  const preopens = openPreopens(grants.preopens, keeping, rollback, kept);
  const unnamed = new UnnamedFiles(keeping?.directory ?? null, keeping?.carryBytesMax ?? 0);
  const listeners = openListeners(grants.listeners ?? []);
  const connections = new Connections();
  const holdings: Holdings = {
    preopens,
    unnamed,
    stdin,
    stdout,
    stderr,
    listeners,
    connections,
  };
  const openFiles = () => filesOf(handles);
  for (const { view } of preopens) view?.watch(openFiles);
  kept?.watch(() => openFiles().filter(({ hostFd, preopen }) => hostFd >= 0 && preopen.view));
  let imports: ProvidedImports;
  try {
    registry.register(clockProvider);
    registry.register(freshness.provider);
    registry.register(secrets.provider);
    registry.register(createFilesProvider({ preopens, unnamed, rollback, keeping }));
    registry.register(createHandleProvider(handles, holdings));
    for (const provider of grants.providers ?? []) registry.register(provider);
    imports = registry.imports();
  } catch (failure) {
    closePreopens(preopens);
    throw failure;
  }

  let released: readonly ImageProvider[] = [];
  let isOpen = true;
  const resources: GuestResources = {
    handles,
    connections,
    clock,
    random,
    secrets,
    kinds: registry.kinds,
    generation: freshness.generation,
    imports,
    attach: (guest) => registry.attach(guest),
    rebuild: (captured, reason) => registry.rebuild(joined(captured), reason),
    quiesce: async () => {
      released = await registry.quiesce();
      return parted(released);
    },
    resume: async (reason) => {
      const states = released;
      released = [];
      await registry.rebuild(states, reason);
    },
    get isLost() {
      return registry.isLost;
    },
    close: () => {
      if (!isOpen) return null;
      isOpen = false;
      const failure = registry.close();
      for (const [, handle] of handles.entries()) releaseHandle(handle);
      handles.clear();
      closePreopens(holdings.preopens);
      connections.closeAll();
      for (const listener of listeners) closeListener(listener);
      return failure;
    },
  };
  return { resources, handles, holdings };
}

/** Throws HostError when a directory is to be rolled back and there is no place to write down how. */
function rollbackOf({ preopens, keeping, random }: Grants): Rollback | null {
  if (!preopens.some((grant) => policyOf(grant) === 'rollback')) return null;
  if (keeping === undefined) {
    throw new HostError(
      'ERR_USAGE',
      'A directory can be rolled back only where there is a directory to keep its changes in.',
    );
  }
  return new Rollback(undoChainIn(keeping.directory), random);
}

function insertFirst(handles: HandleTable, make: () => Handle): void {
  if (handles.isFull) {
    throw new HostError(
      'ERR_USAGE',
      `More is granted than a guest can hold open: ${handles.handlesMax} handles.`,
      { facts: { handlesMax: handles.handlesMax } },
    );
  }
  handles.insert(make());
}

/** In order of their numbers; made one by one, so that a failure leaves none behind. */
function firstHandles(holdings: Holdings): readonly (() => Handle)[] {
  const { stdin, stdout, stderr, listeners, preopens } = holdings;
  const output = {
    kind: 'output',
    flags: 0,
    rights: RIGHTS_OF_OUTPUT,
    rightsInheriting: 0,
  } as const;
  return [
    () => ({
      kind: 'stdin',
      source: stdin,
      unread: new Uint8Array(0),
      ended: false,
      flags: 0,
      rights: RIGHTS_OF_STDIN,
      rightsInheriting: 0,
    }),
    () => ({ ...output, stream: 'stdout', sink: stdout }),
    () => ({ ...output, stream: 'stderr', sink: stderr }),
    ...listeners.map((listener) => () => holdListener(listener)),
    ...preopens.map((preopen) => () => preopenedHandle(preopen)),
  ];
}

function preopenedHandle(preopen: Preopen): Handle {
  return {
    kind: 'directory',
    anchor: openAnchor(preopen.root, '.'),
    preopen,
    path: '',
    preopenName: preopen.grant.guestPath,
    readOnly: preopen.grant.readOnly,
    flags: 0,
    rights: RIGHTS_OF_DIRECTORIES,
    rightsInheriting: RIGHTS_OF_DIRECTORIES | RIGHTS_OF_FILES,
    listing: null,
  };
}

function parted(states: readonly ImageProvider[]): CapturedResources {
  const handles = states.find((state) => state.kind === HANDLES_KIND);
  assert(handles !== undefined, 'the handles are a provider');
  return {
    handles: handles.state as readonly CborValue[],
    providers: states.filter((state) => state !== handles),
  };
}

function joined(captured: CapturedResources): readonly ImageProvider[] {
  return [
    ...captured.providers,
    { kind: HANDLES_KIND, version: OWN_PROVIDERS.handles.version, state: captured.handles },
  ];
}
