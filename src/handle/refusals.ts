/** Why a handle can't be captured or rebuilt, each sentence naming the path that the guest knows. */
import { HostError } from '../fault/host-error.ts';
import type { PreopenGrant } from './grants.ts';
import { showGuestText } from './guest-text.ts';
import { type Preopen, policyOf, shownPath } from './preopens.ts';

/** `why` completes "… can't be checkpointed: it …". */
export function notCapturable(preopen: PreopenGrant, path: string, why: string): HostError {
  const shown = shownPath(preopen, path);
  return new HostError(
    'ERR_NOT_CAPTURABLE',
    `The guest's open ${shown} can't be checkpointed: it ${why}.`,
    { facts: { path: shown }, hint: 'close it in the guest, or checkpoint later' },
  );
}

/** Throws for what is open below a directory that was granted with the policy `refuse`. */
export function refuseIfAsked({ grant }: Preopen, path: string): void {
  if (policyOf(grant) === 'refuse') throw notCapturable(grant, path, 'is to refuse checkpoints');
}

/** `how` completes "… since the checkpoint it …". */
export function changed(preopen: PreopenGrant, path: string, how: string): HostError {
  const shown = shownPath(preopen, path);
  return new HostError(
    'ERR_RESOURCE_CHANGED',
    `The guest's ${shown} can't be opened again: since the checkpoint it ${how}.`,
    { facts: { path: shown }, hint: 'put it back as it was, or restore an earlier checkpoint' },
  );
}

/** `why` completes "… can't be undone: it …". */
export function notUndone(preopen: PreopenGrant, path: string, why: string): HostError {
  const shown = shownPath(preopen, path);
  return new HostError(
    'ERR_RESOURCE_CHANGED',
    `What the guest changed at ${shown} can't be undone: it ${why}.`,
    {
      facts: { path: shown },
      hint: 'put it back as the guest left it, or restore with --dir HOST::GUEST::reopen to go on with the files as they are',
    },
  );
}

/** Today's grant for the guest's name of a directory; refused by name when there is none. */
export function grantedPreopen(
  preopens: readonly Preopen[],
  guestPath: string,
  held: { readonly readOnly: boolean },
): Preopen {
  const preopen = preopens.find(({ grant }) => grant.guestPath === guestPath);
  const shown = showGuestText(guestPath);
  if (preopen === undefined) {
    throw new HostError(
      'ERR_RESOURCE_NOT_GRANTED',
      `The guest holds the directory ${shown}, which is not granted now.`,
      { facts: { directory: shown }, hint: 'grant it with --dir HOST::GUEST' },
    );
  }
  if (preopen.grant.readOnly && !held.readOnly) {
    throw new HostError(
      'ERR_RESOURCE_NOT_GRANTED',
      `The guest holds the directory ${shown} for writing, and it is granted read-only now.`,
      { facts: { directory: shown }, hint: 'grant it with --dir HOST::GUEST' },
    );
  }
  return preopen;
}
