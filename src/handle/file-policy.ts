/**
 * What a checkpoint and a restore mean for the files below a granted directory; the user's choice for
 * each of them. `docs/files.md` says what holds after which failure.
 *
 *   reopen    files are opened again where they were; what was written since the checkpoint stays
 *   refuse    no checkpoint while anything below the directory is open
 */
export const FILE_POLICIES = ['reopen', 'refuse'] as const;

export type FilePolicy = (typeof FILE_POLICIES)[number];

export const FILE_POLICY_DEFAULT: FilePolicy = 'reopen';

export function isFilePolicy(text: string): text is FilePolicy {
  return (FILE_POLICIES as readonly string[]).includes(text);
}
