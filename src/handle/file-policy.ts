/**
 * What a checkpoint and a restore mean for the files below a granted directory; the user's choice for
 * each of them. `docs/files.md` says what holds after which failure.
 *
 *   reopen    files are opened again where they were; what was written since the checkpoint stays
 *   rollback  what the guest changed since the checkpoint is undone at the restore
 *   private   the guest changes a view of its own, which goes into the image; the host's files stay
 *   refuse    no checkpoint while anything below the directory is open
 */
import { HostError } from '../fault/host-error.ts';
import { showGuestText } from './guest-text.ts';

export const FILE_POLICIES = ['reopen', 'rollback', 'private', 'refuse'] as const;

export type FilePolicy = (typeof FILE_POLICIES)[number];

export const FILE_POLICY_DEFAULT: FilePolicy = 'reopen';

export function isFilePolicy(text: string): text is FilePolicy {
  return (FILE_POLICIES as readonly string[]).includes(text);
}

/**
 * Whether a guest that was captured with `held` may go on with `granted`. Where nothing was kept beside
 * the files, either way of opening them again will do; changes that were to be undone may be left as they
 * are; but nothing can be undone that was not written down, and a
 * view that lies in the image has to stay one.
 */
function mayFollow(held: FilePolicy, granted: FilePolicy): boolean {
  if (held === granted) return true;
  return held !== 'private' && (granted === 'reopen' || granted === 'refuse');
}

/**
 * Throws ERR_RESOURCE_NOT_GRANTED when the guest can't go on with today's policy; any other one but that
 * of the checkpoint when it may not leave it.
 */
export function checkPolicy(
  guestPath: string,
  held: FilePolicy,
  granted: FilePolicy,
  mayLeave: boolean,
): void {
  if (held === granted || (mayLeave && mayFollow(held, granted))) return;
  const shown = showGuestText(guestPath);
  throw new HostError(
    'ERR_RESOURCE_NOT_GRANTED',
    `The checkpoint was made with the directory ${shown} as ${held}, and it is granted as ${granted} now.`,
    {
      facts: { directory: shown, held, granted },
      hint: `grant it with --dir HOST::GUEST::${held}`,
    },
  );
}
