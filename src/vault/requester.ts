/**
 * The three checks before a checkpoint is opened, in this order: owner, requester, software.
 */
import { type Facts, HostError } from '../fault/host-error.ts';
import type { Requester, SoftwareIdentity, SoftwareNow } from './checkpoint-info.ts';
import type { CheckpointRecord } from './record.ts';
import { compareSoftware } from './software-check.ts';

/** Throws ERR_OWNER_MISMATCH, ERR_REQUESTER_MISMATCH or ERR_SOFTWARE_MISMATCH, whichever comes first. */
export function checkRequest(
  record: CheckpointRecord,
  requester: Requester,
  software: SoftwareNow,
): void {
  const { info, owner } = record;
  if (owner !== requester.owner) throw ownerMismatch(info.id);
  if (info.entry !== requester.entry) {
    throw new HostError(
      'ERR_REQUESTER_MISMATCH',
      `The checkpoint was made through ${info.entry} and can't be restored through ${requester.entry}.`,
      {
        facts: { checkpoint: info.id, sealed: info.entry, now: requester.entry },
        hint: `restore it through ${info.entry}`,
      },
    );
  }
  checkSoftware(info.id, info.software, software);
}

/** A row says that the checkpoint is the requester's, and what is sealed says otherwise. */
export function ownerMismatch(id: string): HostError {
  return new HostError('ERR_OWNER_MISMATCH', 'The checkpoint was sealed for another owner.', {
    facts: { checkpoint: id },
    hint: 'the vault was changed from outside; put it back from a backup',
  });
}

function checkSoftware(id: string, sealed: SoftwareIdentity, now: SoftwareNow): void {
  const differing = compareSoftware(sealed, now).filter(({ verdict }) => verdict === 'differs');
  if (differing.length === 0) return;
  const names = differing.map(({ name }) => name);
  const list =
    names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  const facts: Record<string, Facts[string]> = { checkpoint: id };
  for (const { name, sealed: was, now: is } of differing) {
    facts[`${name} sealed`] = was;
    facts[`${name} now`] = is;
  }
  throw new HostError(
    'ERR_SOFTWARE_MISMATCH',
    `The checkpoint belongs to other software: the ${list} ${names.length === 1 ? 'differs' : 'differ'}.`,
    { facts, hint: softwareHint(names) },
  );
}

function softwareHint(names: readonly string[]): string {
  if (names.includes('module')) {
    return 'restore it with the module that was running, or run the new one from its start';
  }
  return names.every((name) => name.startsWith('provider ') && name.includes('#'))
    ? 'restore it with the --provider files that it was made with, in that order, or run the job from its start'
    : 'restore it with the version that sealed it, or run the job from its start; --explain shows both sides';
}
