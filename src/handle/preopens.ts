/**
 * The directories that today's request grants, each held open as long as the guest's process lives.
 *
 * They stay open through a checkpoint: what is granted is this process's, and no part of an image.
 */

import { HostError } from '../fault/host-error.ts';
import { errorCode } from '../fault/io-failure.ts';
import { type Anchor, closeAnchor, openRootAnchor } from './anchor.ts';
import { FILE_POLICY_DEFAULT, type FilePolicy } from './file-policy.ts';
import type { PreopenGrant } from './grants.ts';
import { showGuestText } from './guest-text.ts';
import type { Rollback } from './rollback.ts';

export interface Preopen {
  readonly grant: PreopenGrant;
  readonly root: Anchor;
  /** Where the directory is to be rolled back: told before anything below it changes. */
  readonly rollback: Rollback | null;
}

/** Throws HostError ERR_NO_SUCH_DIRECTORY or ERR_IO, naming the host's path; then nothing stays open. */
export function openPreopens(
  grants: readonly PreopenGrant[],
  rollback: Rollback | null = null,
): readonly Preopen[] {
  const opened: Preopen[] = [];
  try {
    for (const grant of grants) {
      const root = openRootAnchor(grant.hostPath);
      const isRolledBack = policyOf(grant) === 'rollback';
      opened.push({ grant, root, rollback: isRolledBack ? rollback : null });
    }
  } catch (cause) {
    closePreopens(opened);
    throw notOpened(grants[opened.length]!, cause);
  }
  return opened;
}

export function closePreopens(preopens: readonly Preopen[]): void {
  for (const { root } of preopens) closeAnchor(root);
}

export function policyOf(grant: PreopenGrant): FilePolicy {
  return grant.policy ?? FILE_POLICY_DEFAULT;
}

/** The path by which a guest knows a thing, for messages. */
export function shownPath(preopen: PreopenGrant, path: string): string {
  if (path === '') return showGuestText(preopen.guestPath);
  const separator = preopen.guestPath.endsWith('/') ? '' : '/';
  return showGuestText(`${preopen.guestPath}${separator}${path}`);
}

function notOpened(grant: PreopenGrant, cause: unknown): HostError {
  const code = errorCode(cause);
  const facts = { directory: grant.hostPath, system: code };
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new HostError(
      'ERR_NO_SUCH_DIRECTORY',
      `There is no directory ${showGuestText(grant.hostPath)} to grant.`,
      { cause, facts, hint: 'make the directory, or name another one with --dir' },
    );
  }
  return new HostError(
    'ERR_IO',
    `The directory ${showGuestText(grant.hostPath)} could not be opened: ${code ?? 'unknown error'}.`,
    { cause, facts },
  );
}
