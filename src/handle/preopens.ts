/**
 * The directories that today's request grants, each held open as long as the guest's process lives.
 *
 * They stay open through a checkpoint: what is granted is this process's, and no part of an image.
 */

import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { type Anchor, closeAnchor, openRootAnchor } from './anchor.ts';
import { FILE_POLICY_DEFAULT, type FilePolicy } from './file-policy.ts';
import type { FileKeeping, PreopenGrant } from './grants.ts';
import { showGuestText } from './guest-text.ts';
import type { KeptBytes } from './kept-bytes.ts';
import { ViewImage } from './private-state.ts';
import { PrivateView } from './private-view.ts';
import type { Rollback } from './rollback.ts';

export interface Preopen {
  readonly grant: PreopenGrant;
  readonly root: Anchor;
  /** Where the directory is to be rolled back: told before anything below it changes. */
  readonly rollback: Rollback | null;
  /** Where the guest changes a view of its own; `root` is the view's then. */
  readonly view: PrivateView | null;
  /** Of the view, while a checkpoint is made or gone back to. */
  readonly image: ViewImage | null;
  /** Where changes below it are kept for the guest alone: asked before anything is kept. */
  readonly kept: KeptBytes | null;
}

/** Throws HostError ERR_NO_SUCH_DIRECTORY or ERR_IO, naming the host's path; then nothing stays open. */
export function openPreopens(
  grants: readonly PreopenGrant[],
  keeping: FileKeeping | null = null,
  rollback: Rollback | null = null,
  kept: KeptBytes | null = null,
): readonly Preopen[] {
  const opened: Preopen[] = [];
  try {
    for (const grant of grants)
      opened.push(openPreopen(grant, opened.length, { keeping, rollback, kept }));
  } catch (cause) {
    closePreopens(opened);
    if (cause instanceof HostError) throw cause;
    throw notOpened(grants[opened.length]!, cause);
  }
  return opened;
}

interface PreopenPlaces {
  readonly keeping: FileKeeping | null;
  readonly rollback: Rollback | null;
  readonly kept: KeptBytes | null;
}

function openPreopen(
  grant: PreopenGrant,
  index: number,
  { keeping, rollback, kept }: PreopenPlaces,
): Preopen {
  const root = openRootAnchor(grant.hostPath);
  const policy = policyOf(grant);
  if (policy !== 'private') {
    return {
      grant,
      root,
      rollback: policy === 'rollback' ? rollback : null,
      kept: policy === 'rollback' ? kept : null,
      view: null,
      image: null,
    };
  }
  try {
    if (keeping === null) {
      throw new HostError(
        'ERR_USAGE',
        'A directory can be private only where there is a directory to keep its changes in.',
      );
    }
    const view = new PrivateView(root, join(keeping.directory, `private-${index}`), kept);
    return { grant, root: view.root, rollback: null, kept, view, image: new ViewImage(view) };
  } catch (error) {
    closeAnchor(root);
    throw error instanceof HostError ? error : ioFailure('make a private view', error);
  }
}

export function closePreopens(preopens: readonly Preopen[]): void {
  for (const { root, view, image } of preopens) {
    image?.letGo();
    closeAnchor(view?.lower ?? root);
    view?.close();
  }
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
