/** Open files of private views, at a checkpoint and after it. */
import { ERRNO } from '../abi/errno.ts';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import {
  type FileAccess,
  type FileHandle,
  openFlags,
  openRegularFile,
  reopenFlags,
} from './file.ts';
import type { Allowance } from './file-content.ts';
import type { Preopen } from './preopens.ts';
import { joined } from './private-view.ts';
import { notCapturable } from './refusals.ts';

/** Takes the images of all views. Throws HostError. */
export function takeViews(
  preopens: readonly Preopen[],
  files: readonly FileHandle[],
  allowance: Allowance,
): void {
  for (const { grant, view, image } of preopens) {
    if (image === null) continue;
    image.letGo();
    const open = files.filter((file) => file.preopen.view === view);
    const why = tried(() => image.take(allowance, open));
    if (why !== null) throw notCapturable(grant, '', why);
  }
}

/** The number of an open file in its view's image; null when it is in none. Throws HostError. */
export function numberInView(file: FileHandle, allowance: Allowance): number | null {
  const { grant, image } = file.preopen;
  if (image === null) return null;
  const number = tried(() => image.numberOf(file, allowance));
  if (typeof number === 'string') throw notCapturable(grant, file.path, number);
  return number;
}

/**
 * Opens file `number` of the view's image; minus an errno when it can't be. `isLower`: what was opened is the
 * lower directory's file, which others may have changed.
 */
export function openInView(
  { view, image }: Preopen,
  number: number,
  access: FileAccess,
): { readonly hostFd: number; readonly isLower: boolean } {
  const standing = image?.standing(number) ?? null;
  if (view === null || standing === null) return { hostFd: -ERRNO.NOENT, isLower: false };
  const { path, lower, held } = standing;
  if (lower !== null) {
    const hostFd = access.writable ? -ERRNO.ACCES : view.openLower(lower);
    return { hostFd, isLower: true };
  }
  const hostFd =
    held === null
      ? openRegularFile(joined(view.rootPath, path ?? ''), openFlags(access))
      : openRegularFile(`/proc/self/fd/${held}`, reopenFlags(access));
  return { hostFd, isLower: false };
}

export function letGoViews(preopens: readonly Preopen[]): void {
  for (const { image } of preopens) image?.letGo();
}

function tried<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure("read the guest's private view of a directory", error);
  }
}
