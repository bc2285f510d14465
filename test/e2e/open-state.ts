/**
 * Looks into a state directory as the command does: process table and vault.
 */
import {
  type OpenedImage,
  openImage,
  planRestore,
  type RestorePlan,
} from '../../src/checkpoint/restore.ts';
import { openPlacesVault } from '../../src/cli/places-vault.ts';
import { readSettings, settingsPlaces, settingsRequester } from '../../src/cli/settings.ts';
import { JobTable } from '../../src/host/job-table.ts';
import type { Places } from '../../src/host/places.ts';
import { NO_POLICY, policyFor } from '../../src/host/policy.ts';
import type { CheckpointInfo, Requester } from '../../src/vault/checkpoint-info.ts';
import type { Vault } from '../../src/vault/vault.ts';

export interface OpenState {
  readonly owner: string;
  readonly places: Places;
  readonly table: JobTable;
  readonly vault: Vault;
  readonly requester: Requester;
  /** Checkpoints of the job with that name, oldest first. */
  checkpoints(name: string): Promise<CheckpointInfo[]>;
  /** Opens a checkpoint of a job that is not running, with every check of a restore with `--again`. */
  open(
    id: string,
    secrets?: readonly string[],
  ): Promise<OpenedImage & { readonly plan: RestorePlan }>;
  close(): Promise<void>;
}

export async function openState(home: string): Promise<OpenState> {
  const settings = readSettings({ STASIS_HOME: home });
  const { owner } = settings;
  const places = settingsPlaces(settings);
  const requester = settingsRequester(settings);
  const table = new JobTable(places.jobsDatabase);
  const vault = await openPlacesVault(places);
  const policy = policyFor(NO_POLICY, owner);
  const tools = { places, table, vault, requester, policy, engine: process.versions.v8 };
  return {
    owner,
    places,
    table,
    vault,
    requester,
    checkpoints: async (name) => {
      const found = await vault.list(requester, { job: table.find(owner, name).job.id });
      return found.reverse();
    },
    open: async (id, secrets) => {
      const plan = await planRestore(tools, { job: null, id, at: null }, {}, 'again');
      return { plan, ...(await openImage(tools, plan, secrets)) };
    },
    close: async () => {
      await vault.close();
      table.close();
    },
  };
}
