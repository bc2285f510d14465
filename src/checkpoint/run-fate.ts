/** What became of a run that went on from a checkpoint: decides whether the checkpoint is free again. */
import { jobState, type RunOutcome } from '../host/job-records.ts';
import type { JobTable } from '../host/job-table.ts';
import type { RunFate, UsingRun } from '../vault/use.ts';

export function fateIn(table: JobTable): (run: UsingRun) => RunFate {
  return ({ job, run }) => {
    const record = table.runs(job).find(({ number }) => number === run);
    // Nobody knows of it any more: it made no newer checkpoint, or that would be written with the claim.
    if (record === undefined) return 'came to nothing';
    if (jobState(record) === 'running') return 'running';
    return hasEndedWell(record.outcome) ? 'ended well' : 'came to nothing';
  };
}

/** The guest said itself that its work is done. A trap, a limit, a signal, another status: it is not. */
export function hasEndedWell(outcome: RunOutcome | null): boolean {
  return outcome?.ending.kind === 'exit' && outcome.ending.code === 0;
}
