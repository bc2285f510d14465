/**
 * Why a checkpoint can be restored or not: what is sealed with it and what is here now, side by side.
 * Nothing of the image is opened for it.
 */
import { compareSoftware, type FieldComparison } from '../vault/software-check.ts';
import {
  type RestoreChanges,
  type RestoreSelector,
  type RestoreTools,
  selectRestore,
} from './restore.ts';

export interface Explanation {
  readonly job: string;
  readonly checkpoint: string;
  readonly sequence: number;
  readonly stamp: string;
  /** No field differs. Files and grants are looked at when it is restored. */
  readonly restorable: boolean;
  readonly fields: readonly FieldComparison[];
}

/** Throws ERR_NO_SUCH_JOB, ERR_NO_SUCH_CHECKPOINT, ERR_STATE_DAMAGED and the vault's own. */
export async function explainRestore(
  tools: RestoreTools,
  selector: RestoreSelector,
  changes: RestoreChanges,
): Promise<Explanation> {
  const { requester } = tools;
  const { info, view, software } = await selectRestore(tools, selector, changes);
  const fields = [
    plain('owner', requester.owner, requester.owner),
    plain('entry', info.entry, requester.entry),
    ...compareSoftware(info.software, software),
  ];
  return {
    job: view.job.name,
    checkpoint: info.id,
    sequence: info.sequence,
    stamp: info.stamp,
    restorable: fields.every(({ verdict }) => verdict !== 'differs'),
    fields,
  };
}

function plain(name: string, sealed: string, now: string): FieldComparison {
  return { name, sealed, now, verdict: sealed === now ? 'same' : 'differs' };
}
