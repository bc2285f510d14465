/**
 * What takes how much room: by owner, and by job within an owner.
 */

import type { IndexView } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { readOwnRecord } from './own-record.ts';
import { type LoadedOwner, loadOwner } from './owner-state.ts';
import type { VaultContext } from './vault-context.ts';

export interface JobUsage {
  /** The job's id. */
  readonly job: string;
  readonly name: string;
  readonly checkpoints: number;
  /** Of all its images, as guests have them. */
  readonly imageBytes: number;
  /** What its checkpoints added to the packs. */
  readonly storedBytes: number;
}

export interface OwnerUsage {
  readonly owner: string;
  readonly checkpoints: number;
  readonly packs: number;
  readonly packBytes: number;
  /** Of the packs, what a checkpoint uses. */
  readonly usedBytes: number;
  /** The largest first. */
  readonly jobs: readonly JobUsage[];
}

export interface VaultUsage {
  readonly owners: readonly OwnerUsage[];
  /** Of the vault as a whole; null where only one owner was asked for. */
  readonly trash: { readonly packs: number; readonly bytes: number } | null;
}

const RECORDS_PER_TURN = 128;

/** Of one owner, or of all. Throws ERR_VAULT_DAMAGED. */
export async function measureUsage(
  { read }: VaultContext,
  only: string | undefined,
): Promise<VaultUsage> {
  return read(async (view, keys) => {
    const owners: OwnerUsage[] = [];
    for (const name of only === undefined ? await view.owners() : [only]) {
      const owner = await loadOwner(view, keys, name);
      if (owner !== null) owners.push(await measureOwner(view, owner));
    }
    owners.sort((a, b) => b.packBytes - a.packBytes);
    if (only !== undefined) return { owners, trash: null };
    const trash = await view.trash();
    const bytes = trash.reduce((sum, row) => sum + row.bytes, 0);
    return { owners, trash: { packs: trash.length, bytes } };
  });
}

async function measureOwner(view: IndexView, owner: LoadedOwner): Promise<OwnerUsage> {
  const jobs = new Map<string, JobUsage>();
  const checkpoints = await owner.list.all();
  for (const [index, key] of checkpoints.entries()) {
    if (index % RECORDS_PER_TURN === RECORDS_PER_TURN - 1) await turn();
    const { info } = await readOwnRecord(view, owner, key.id);
    const before = jobs.get(info.job);
    jobs.set(info.job, {
      job: info.job,
      name: info.name,
      checkpoints: (before?.checkpoints ?? 0) + 1,
      imageBytes: (before?.imageBytes ?? 0) + info.imageBytes,
      storedBytes: (before?.storedBytes ?? 0) + info.storedBytes,
    });
  }
  const packs = await view.packs(owner.number);
  return {
    owner: owner.keys.owner,
    checkpoints: checkpoints.length,
    packs: packs.length,
    packBytes: packs.reduce((sum, { bytes }) => sum + bytes, 0),
    usedBytes: packs.reduce((sum, { usedBytes }) => sum + usedBytes, 0),
    jobs: [...jobs.values()].sort((a, b) => b.storedBytes - a.storedBytes),
  };
}
