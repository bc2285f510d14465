import { removeJobFiles } from '../host/job-files.ts';
import type { JobRecord } from '../host/job-records.ts';
import type { JobTable } from '../host/job-table.ts';
import { dropModules } from '../host/module-store.ts';
import type { Places } from '../host/places.ts';
import type { Requester } from '../vault/checkpoint-info.ts';
import type { Vault } from '../vault/vault.ts';

/**
 * Removes a job that is not running: first its checkpoints, then its logs, its row last, so that
 * whatever a crash leaves behind can still be removed by name. `vault` is null when none was ever made.
 */
export async function removeJob(
  places: Places,
  table: JobTable,
  vault: Vault | null,
  requester: Requester,
  job: JobRecord,
): Promise<void> {
  if (vault !== null) {
    const own = await vault.list(requester, { job: job.id });
    if (own.length > 0)
      await vault.remove(
        requester,
        own.map(({ id }) => id),
      );
  }
  removeJobFiles(places, job.id);
  table.remove(job.id);
  table.withModules((used) => dropModules(places, used));
}
