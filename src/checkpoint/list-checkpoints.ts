import { type JobTable, noSuchJob } from '../host/job-table.ts';
import type { CheckpointInfo, Requester } from '../vault/checkpoint-info.ts';
import type { CheckpointUse } from '../vault/use.ts';
import type { Vault } from '../vault/vault.ts';
import { fateIn } from './run-fate.ts';

export interface ListedCheckpoint extends CheckpointInfo {
  /** The run that goes on from it, or used it up; null: it can be restored. */
  readonly use: CheckpointUse | null;
}

/** Newest first; of one job, by its name, or of all. Throws ERR_NO_SUCH_JOB and the vault's own. */
export async function listCheckpoints(
  table: JobTable,
  vault: Vault,
  requester: Requester,
  name: string | null,
): Promise<ListedCheckpoint[]> {
  if (name !== null && !(await vault.mayAsk(requester))) throw noSuchJob(name);
  const job = name === null ? null : table.find(requester.owner, name).job.id;
  const infos = await vault.list(requester, job === null ? {} : { job });
  const uses = await vault.uses(requester);
  const fateOf = fateIn(table);
  return infos.map((info) => {
    const use = uses.get(info.id) ?? null;
    return { ...info, use: use === null ? null : asOfNow(use, fateOf(use)) };
  });
}

/** A claim whose run came to nothing is none, whether or not somebody wrote that down. */
function asOfNow(use: CheckpointUse, fate: ReturnType<ReturnType<typeof fateIn>>) {
  if (use.state === 'used' || fate === 'running') return use;
  return fate === 'ended well' ? { ...use, state: 'used' as const } : null;
}
