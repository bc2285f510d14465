/**
 * The words that put Node's permission model on a cell, and where its lists of files stand.
 *
 * Everybody on a machine can read the command line of every process. So the lists, which name what a user granted, are
 * no part of it where that can be helped: Node takes them from a file, and that is one in memory, without a name,
 * which the cell is started with as a descriptor. That the model is on at all stands in the command line: a cell
 * that could not read its lists would have less and not more, and Node ends at a file that it can't read.
 */
import { HostError } from '../fault/host-error.ts';

/** Files and directories with all below, by absolute paths. */
export interface NodePermissions {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

export function nodePermissions(
  read: readonly string[],
  write: readonly string[],
): NodePermissions {
  return { read: outermost(read), write: outermost(write) };
}

const FIXED_WORDS: readonly string[] = [
  '--permission',
  '--allow-worker',
  '--allow-ffi',
  // The warnings are about programs that somebody else wrote; a cell runs only its own.
  '--disable-warning=PERM0003',
  '--disable-warning=PERM0006',
  '--disable-warning=ExperimentalWarning',
  '--disable-sigusr1',
  '--no-addons',
];

/** For everybody to read. */
export function wordsWithPermissions({ read, write }: NodePermissions): string[] {
  return [
    ...FIXED_WORDS,
    ...read.map((path) => `--allow-fs-read=${path}`),
    ...write.map((path) => `--allow-fs-write=${path}`),
  ];
}

/** `listsFd`: where the process will have a file with what `permissionLists` gives. */
export function wordsWithLists(listsFd: number): string[] {
  return [`--experimental-config-file=/proc/self/fd/${listsFd}`, ...FIXED_WORDS];
}

export function permissionLists({ read, write }: NodePermissions): string {
  return JSON.stringify({ permission: { 'allow-fs-read': read, 'allow-fs-write': write } });
}

/**
 * Node takes a star in a granted path for any ending: whoever grants `/data/a*` grants `/data/abc` as well.
 * Options refuse it with a better sentence; this is for paths that nobody wrote down, such as those in the
 * state directory.
 */
export function refuseWildcards(paths: readonly string[]): void {
  const found = paths.find((path) => path.includes('*'));
  if (found === undefined) return;
  throw new HostError('ERR_USAGE', 'A path with * in it can not be opened to a guest.', {
    facts: { path: found },
    hint: 'rename the directory; for the state directory, set STASIS_HOME to another one',
  });
}

/**
 * `paths` without those that lie below another one, which are granted with it. Node refuses a directory
 * that is granted after one below it: so whoever grants `/` would lose the cell's own code, or `/`.
 */
function outermost(paths: readonly string[]): string[] {
  const kept: string[] = [];
  for (const path of [...new Set(paths)].sort((a, b) => a.length - b.length)) {
    if (!kept.some((above) => path.startsWith(above.endsWith('/') ? above : `${above}/`))) {
      kept.push(path);
    }
  }
  return kept;
}
