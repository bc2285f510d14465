/** What a run's cell is given to work on, put together from the request, the caches and the image. */

import type { FileKeeping, GuestStreams, Preopen, StartMessage } from '../cell/protocol.ts';
import { LOG_FD } from './cell-process.ts';
import { FIRST_LISTENER_FD } from './guest-streams.ts';
import type { HostRunOptions, HostTools } from './hosted-run.ts';
import { findInstrumented } from './instrument-cache.ts';
import type { BoundSocket } from './listening-socket.ts';
import { boundsOf } from './run-request.ts';

/** What a cell has from the start. */
export interface CellHoldings {
  readonly preopens: readonly Preopen[];
  readonly keeping: FileKeeping | null;
  readonly logFd: number | null;
  /** What its owner's logs leave room for; null for no bound. */
  readonly logRoomBytes: number | null;
  readonly streams: GuestStreams;
  readonly sockets: readonly BoundSocket[];
}

/** What is handed to a cell: the first message and its attachments. */
export function cellWork(
  { places, instrumenter, now }: HostTools,
  options: HostRunOptions,
  { preopens, keeping, logFd, logRoomBytes, streams, sockets }: CellHoldings,
): { start: StartMessage; attachments: Uint8Array[]; instrumented: string | null } {
  const { request, module, providers, restore, triggers, digestMemory } = options;
  const wanted = restore?.instrumented ?? null;
  const found = findInstrumented(places, { module: module.digest, instrumenter }, now);
  // One that differs is made again, and the cell says what comes out.
  const cached = wanted === null || found?.digest === wanted ? found : null;
  const attachments = cached === null ? [module.bytes] : [module.bytes, cached.bytes, cached.plan];
  if (restore !== null) attachments.push(restore.pages);
  return {
    attachments,
    instrumented: cached?.digest ?? null,
    start: {
      type: 'start',
      cached: cached !== null,
      args: request.args,
      env: request.env,
      secrets: options.secrets,
      preopens,
      keeping,
      pools: request.pools ?? [],
      kv: request.kv ?? [],
      providers,
      limits: {
        fuel: request.fuel === null ? null : BigInt(request.fuel),
        memoryPages: request.memoryPages,
        tableEntries: request.tableEntries,
        outputBytes: least(request.outputBytes ?? null, logRoomBytes),
        onLimit: request.onLimit ?? 'end',
        ...boundsOf(request),
      },
      clock: request.clock ?? 'coarse',
      invoke: request.invoke,
      trapUnknownImports: request.trapUnknownImports,
      wasi: request.wasi,
      osr: request.osr ?? true,
      restore: restore?.head ?? null,
      reason: restore?.clone ? 'cloned' : 'restarted',
      instrumented: wanted,
      triggers,
      digestMemory,
      logFd: logFd === null ? null : LOG_FD,
      streams,
      listeners: sockets.map(({ request: { name } }, index) => ({
        name,
        hostFd: FIRST_LISTENER_FD + index,
      })),
    },
  };
}

/** Of two bounds that may be none. */
function least(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
