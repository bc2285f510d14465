/** The provider of a guest's handle table: every handle is captured and rebuilt by its kind. */
import type { CborValue } from '../cbor/cbor.ts';
import { assert } from '../fault/assert.ts';
import { OWN_PROVIDERS } from '../resource/own-providers.ts';
import { defineProvider, type Provider, type Reason } from '../resource/provider.ts';
import {
  captureHandle,
  type HandleState,
  type Holdings,
  handleStatesShape,
  rebuildHandle,
  releaseHandle,
} from './handle-state.ts';
import { filesOf, type HandleTable } from './handle-table.ts';
import { closeListener } from './listener.ts';
import { letGoViews, takeViews } from './private-files.ts';

export const HANDLES_KIND = 'handles';

/** Time to make everything durable that the guest wrote, on a slow disk. */
const DEADLINE_MS = 60_000;

export function createHandleProvider(table: HandleTable, holdings: Holdings): Provider {
  return defineProvider<readonly HandleState[] & CborValue>({
    kind: HANDLES_KIND,
    version: OWN_PROVIDERS.handles.version,
    deadlineMs: DEADLINE_MS,
    shape: handleStatesShape(table.handlesMax),
    prepare: () => captureHandles(table, holdings),
    commit: () => {
      for (const [, handle] of table.entries()) releaseHandle(handle);
    },
    abort: () => letGo(holdings),
    rebuild: (states, { reason }) => rebuildHandles(table, states, holdings, reason),
  });
}

/** The state of every open handle, ascending by number. Throws HostError for the first that has none. */
export function captureHandles(
  table: HandleTable,
  { preopens, unnamed }: Holdings,
): readonly HandleState[] {
  unnamed.begin();
  takeViews(preopens, filesOf(table), unnamed.allowance);
  return table.entries().map(([number, handle]) => captureHandle(number, handle, unnamed));
}

/** Fills the table anew. If it throws (a HostError), the table is empty and nothing is held. */
export function rebuildHandles(
  table: HandleTable,
  states: readonly HandleState[],
  holdings: Holdings,
  reason: Reason,
): void {
  table.clear();
  try {
    for (const state of states) {
      const inserted = table.insertAt(state.fd, rebuildHandle(state, holdings, reason));
      assert(inserted, 'the shape of handle states leaves no number twice');
    }
    // The guest had closed it: nobody is to be kept waiting at its address.
    for (const listener of holdings.listeners) if (!listener.isHeld) closeListener(listener);
  } catch (failure) {
    for (const [, handle] of table.entries()) releaseHandle(handle);
    table.clear();
    throw failure;
  } finally {
    letGo(holdings);
  }
}

function letGo({ unnamed, preopens }: Holdings): void {
  unnamed.letGo();
  letGoViews(preopens);
}
