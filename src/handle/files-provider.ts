/**
 * The provider of what belongs to no single handle: the policy of each granted directory, the interval
 * that a checkpoint begins where directories are rolled back, and the contents of files that have no name
 * left.
 *
 * It is registered before the handles', so it is asked after them at a checkpoint, when they have said
 * what they need carried, and rebuilt before them, when files are to be as they were.
 */
import { PATH_BYTES_MAX } from '../abi/guest-string.ts';
import type { CborValue } from '../cbor/cbor.ts';
import { arrayOf, mapOf, nullable, oneOf, type ShapeOf, text } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import { OWN_PROVIDERS } from '../resource/own-providers.ts';
import { defineProvider, type Provider } from '../resource/provider.ts';
import { fileContentShape } from './file-content.ts';
import { checkPolicy, FILE_POLICIES } from './file-policy.ts';
import type { FileKeeping } from './grants.ts';
import { type Preopen, policyOf } from './preopens.ts';
import { viewShape } from './private-state.ts';
import type { Rollback } from './rollback.ts';
import { undoChainIn } from './undo-chain.ts';
import type { UnnamedFiles } from './unnamed-files.ts';

export const FILES_KIND = 'files';

/** Time to make everything durable, or to undo everything, on a slow disk. */
const DEADLINE_MS = 600_000;
const DIRECTORIES_MAX = 1024;
const MARK_LENGTH = 16;

const filesShape = mapOf({
  directories: arrayOf(
    mapOf({ preopen: text(PATH_BYTES_MAX), policy: oneOf(...FILE_POLICIES) }),
    0,
    DIRECTORIES_MAX,
  ),
  /** Where directories are rolled back, of the interval that began here: see `undo-chain.ts`. */
  mark: nullable(text(MARK_LENGTH)),
  /** One for each directory that is private. */
  views: arrayOf(viewShape, 0, DIRECTORIES_MAX),
  unnamed: arrayOf(fileContentShape),
});

type FilesState = ShapeOf<typeof filesShape>;

export interface FilesParts {
  readonly preopens: readonly Preopen[];
  readonly unnamed: UnnamedFiles;
  /** null when no directory is rolled back. */
  readonly rollback: Rollback | null;
  readonly keeping: FileKeeping | null;
}

export function createFilesProvider(parts: FilesParts): Provider {
  const { preopens, unnamed, rollback } = parts;
  return defineProvider<FilesState & CborValue>({
    kind: FILES_KIND,
    version: OWN_PROVIDERS.files.version,
    deadlineMs: DEADLINE_MS,
    shape: filesShape,
    prepare: () => ({
      directories: preopens.map(({ grant }) => ({
        preopen: grant.guestPath,
        policy: policyOf(grant),
      })),
      mark: rollback === null ? null : kept(() => rollback.prepare(preopens)),
      views: preopens.flatMap(({ grant, image }) =>
        image === null ? [] : [image.state(grant.guestPath)],
      ),
      unnamed: unnamed.contents,
    }),
    commit: () => rollback?.commit(),
    abort: () => {
      rollback?.abort();
      unnamed.letGo();
    },
    rebuild: (state, { reason }) => {
      if (reason === 'resumed' || reason === 'aborted') return;
      checkPolicies(state, parts);
      kept(() => goBack(state.mark, parts));
      kept(() => bringViewsBack(state, parts));
      kept(() => unnamed.makeAnew(state.unnamed));
    },
    close: () => {
      rollback?.close();
      unnamed.letGo();
    },
  });
}

/** Refuses what does not fit today's policies, before anything is undone. */
function checkPolicies(state: FilesState, { preopens, rollback }: FilesParts): void {
  for (const { preopen, policy } of state.directories) {
    const granted = preopens.find(({ grant }) => grant.guestPath === preopen);
    // One that is not granted any more is missed only by a handle: that refuses then.
    if (granted === undefined) continue;
    const today = policyOf(granted.grant);
    // One of several that are rolled back can't be left out: what is written down is about them all.
    const mayLeave = policy !== 'rollback' || rollback === null;
    checkPolicy(preopen, policy, today, mayLeave);
  }
}

/** Undoes what was changed since the checkpoint, or forgets how that was to be done. */
function goBack(mark: string | null, { preopens, rollback, keeping }: FilesParts): void {
  if (rollback !== null && mark !== null) {
    if (rollback.goBack(mark, preopens)) return;
    throw new HostError(
      'ERR_RESOURCE_CHANGED',
      "The guest's files can't be brought back to this checkpoint: they were brought back to an earlier one since, went on without being rolled back, or the job was put back from a backup, which leaves out how to undo them.",
      {
        hint: 'restore a checkpoint that was made since, or use --dir HOST::GUEST::reopen to go on with the files as they are',
      },
    );
  }
  // From here on changes are not written down: earlier checkpoints can't be gone back to any more.
  if (keeping !== null) undoChainIn(keeping.directory).forget();
}

function bringViewsBack({ views }: FilesState, { preopens }: FilesParts): void {
  for (const { grant, image } of preopens) {
    const state = views.find(({ preopen }) => preopen === grant.guestPath);
    if (image !== null && state !== undefined) image.bringBack(state);
  }
}

function kept<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure('keep what the checkpoint needs of files', error);
  }
}
