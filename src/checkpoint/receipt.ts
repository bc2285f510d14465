/**
 * The receipt of a restore: what was checked, and what the guest goes on with. Plain data; it holds
 * nothing of the image but counts.
 */

import type { Preopen } from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import type { CellPath } from '../host/cell-command.ts';
import { readModuleFile } from '../host/module-file.ts';
import type { ImageHead } from '../image/image.ts';
import type { KvGrant } from '../kv/kv-grant.ts';
import type { PoolGrant } from '../pool/pool-grant.ts';
import type { RestorePlan } from './restore.ts';

export interface Receipt {
  readonly job: string;
  /** Name of the job that goes on from here as a twin, empty while it has none; null: it is the job itself. */
  readonly clone: string | null;
  readonly checkpoint: string;
  readonly sequence: number;
  readonly stamp: string;
  readonly cause: string;
  /** Run that made the checkpoint. */
  readonly madeInRun: number;
  /** Each line is a check that passed. */
  readonly checks: readonly string[];
  readonly directories: readonly Preopen[];
  readonly pools: readonly PoolGrant[];
  readonly databases: readonly KvGrant[];
  /** What providers of the user's may use beside the directories of their files. */
  readonly providerPaths: readonly CellPath[];
  readonly fuelUsed: string;
  readonly fuelLimit: string | null;
  readonly hostCalls: string;
  readonly frames: number;
  readonly handles: number;
  readonly memoryPages: number;
  readonly imageBytes: number;
  readonly storedBytes: number;
  readonly logBytes: number;
  readonly modulePath: string;
  /** Whether the file there is what the checkpoint was made of; the kept copy is used in any case. */
  readonly moduleFile: 'same' | 'different' | 'missing';
}

/** `clone`: the twin's name; null for none. */
export function makeReceipt(plan: RestorePlan, head: ImageHead, clone: string | null): Receipt {
  const { info, view, request, software } = plan;
  return {
    job: view.job.name,
    clone,
    checkpoint: info.id,
    sequence: info.sequence,
    stamp: info.stamp,
    cause: info.cause,
    madeInRun: info.run,
    checks: [
      `owner is ${view.job.owner}`,
      `requester is the ${info.entry}`,
      `module is ${software.module.slice(0, 12)}`,
      `instrumenter is ${software.instrumenter}`,
      `host is ${software.host}`,
      `image format is ${software.imageFormat}`,
      `engine is ${software.engine}`,
      ...(software.wasi === undefined ? [] : [`WASI layer is ${software.wasi}`]),
      ...(software.providers ?? []).flatMap(({ file, digest }) =>
        file === null ? [] : [`provider is ${file} ${digest!.slice(0, 12)}`],
      ),
      'image is whole and authentic',
    ],
    // Those of the other layer were copied when the guest began.
    directories: request.wasi === 'stasis' ? request.preopens : [],
    pools: request.pools ?? [],
    databases: request.kv ?? [],
    providerPaths: request.providerPaths ?? [],
    fuelUsed: String(head.counters.fuel),
    fuelLimit: request.fuel,
    hostCalls: String(head.counters.calls),
    frames: head.stack.frames.length,
    handles: head.handles.length,
    memoryPages: head.memories.reduce((sum, { sizePages }) => sum + sizePages, 0),
    imageBytes: info.imageBytes,
    storedBytes: info.storedBytes,
    logBytes: info.logBytes,
    modulePath: request.modulePath,
    moduleFile: compareModule(request.modulePath, software.module),
  };
}

function compareModule(path: string, digest: string): Receipt['moduleFile'] {
  try {
    return readModuleFile(path).digest === digest ? 'same' : 'different';
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return error.code === 'ERR_NO_SUCH_FILE' ? 'missing' : 'different';
  }
}
