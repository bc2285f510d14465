import type { JobView } from '../host/job-records.ts';
import type { JobTable } from '../host/job-table.ts';
import type { Requester } from '../vault/checkpoint-info.ts';
import type { Vault } from '../vault/vault.ts';
import { listCheckpoints } from './list-checkpoints.ts';

/** What a job whose host died can go on from. */
export interface Restorable {
  readonly id: string;
  readonly sequence: number;
  /** ISO 8601, UTC. */
  readonly stamp: string;
}

/**
 * The newest checkpoint of each of these jobs that no run used up, by the job's id; those that have none are
 * missing. Asked of the vault, not of the process table, which is not told when checkpoints are dropped. Throws
 * the vault's own errors.
 */
export async function restorableJobs(
  table: JobTable,
  vault: Vault,
  requester: Requester,
  views: readonly JobView[],
): Promise<ReadonlyMap<string, Restorable>> {
  const found = new Map<string, Restorable>();
  for (const { job } of views) {
    const listed = await listCheckpoints(table, vault, requester, job.id);
    const free = listed.find(({ use }) => use === null);
    if (free === undefined) continue;
    const { id, sequence, stamp } = free;
    found.set(job.id, { id, sequence, stamp });
  }
  return found;
}
