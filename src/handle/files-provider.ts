/**
 * The provider of what belongs to no single handle: the policy of each granted directory, and the
 * contents of files that have no name left.
 *
 * It is registered before the handles', so it is asked after them at a checkpoint, when they have said
 * what they need carried, and rebuilt before them, when they need what was carried.
 */
import { PATH_BYTES_MAX } from '../abi/guest-string.ts';
import type { CborValue } from '../cbor/cbor.ts';
import { arrayOf, mapOf, oneOf, type ShapeOf, text } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import { defineProvider, type Provider } from '../resource/provider.ts';
import { fileContentShape } from './file-content.ts';
import { FILE_POLICIES } from './file-policy.ts';
import { type Preopen, policyOf } from './preopens.ts';
import type { UnnamedFiles } from './unnamed-files.ts';

export const FILES_KIND = 'files';

/** Time to write everything that an image carries, on a slow disk. */
const DEADLINE_MS = 60_000;
const DIRECTORIES_MAX = 1024;

const filesShape = mapOf({
  directories: arrayOf(
    mapOf({ preopen: text(PATH_BYTES_MAX), policy: oneOf(...FILE_POLICIES) }),
    0,
    DIRECTORIES_MAX,
  ),
  unnamed: arrayOf(fileContentShape),
});

type FilesState = ShapeOf<typeof filesShape>;

export function createFilesProvider(preopens: readonly Preopen[], unnamed: UnnamedFiles): Provider {
  return defineProvider<FilesState & CborValue>({
    kind: FILES_KIND,
    version: 1,
    deadlineMs: DEADLINE_MS,
    shape: filesShape,
    prepare: () => ({
      directories: preopens.map(({ grant }) => ({
        preopen: grant.guestPath,
        policy: policyOf(grant),
      })),
      unnamed: unnamed.contents,
    }),
    commit: () => undefined,
    abort: () => unnamed.letGo(),
    rebuild: (state, { reason }) => {
      if (reason === 'resumed' || reason === 'aborted') return;
      carried(() => unnamed.makeAnew(state.unnamed));
    },
    close: () => unnamed.letGo(),
  });
}

function carried(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure('write the files that the checkpoint carries', error);
  }
}
