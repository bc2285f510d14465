/** Which directories and sockets of a request its guest gets: not every WASI layer has both. */
import { statSync } from 'node:fs';
import type { Preopen } from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { FILE_POLICY_DEFAULT } from '../handle/file-policy.ts';
import type { RestorePoint } from './hosted-run.ts';
import type { ListenRequest } from './listening-socket.ts';
import type { RunRequest } from './run-request.ts';

/**
 * The directories that the cell may touch. The layer that has its files in memory gets them only to
 * copy, when a guest begins; later they are in its image.
 */
export function grantedDirectories(
  { preopens, wasi }: RunRequest,
  restore: RestorePoint | null,
): readonly Preopen[] {
  if (wasi === 'stasis') return preopens;
  if (restore !== null) return [];
  const chosen = preopens.find(
    ({ policy = FILE_POLICY_DEFAULT }) => policy !== FILE_POLICY_DEFAULT,
  );
  if (chosen !== undefined) {
    throw new HostError(
      'ERR_USAGE',
      'A guest on @wasmer/wasi has its files in its checkpoints: there is no policy to choose.',
      {
        facts: { directory: chosen.hostPath, policy: chosen.policy! },
        hint: 'grant it as HOST::GUEST alone',
      },
    );
  }
  const writable = preopens.find(({ readOnly }) => !readOnly);
  if (writable === undefined) return preopens;
  throw new HostError(
    'ERR_USAGE',
    'A guest on @wasmer/wasi has its files in memory: nothing that it writes would get to a directory.',
    {
      facts: { directory: writable.hostPath },
      hint: 'grant it with --dir-ro: it is copied when the guest begins, and the guest has the copy',
    },
  );
}

export function checkDirectories(preopens: readonly Preopen[]): void {
  for (const { hostPath } of preopens) {
    let isDirectory = false;
    try {
      isDirectory = statSync(hostPath).isDirectory();
    } catch (error) {
      const code = errorCode(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw ioFailure(`look at ${hostPath}`, error);
    }
    if (isDirectory) continue;
    throw new HostError('ERR_NO_SUCH_DIRECTORY', `There is no directory ${hostPath} to grant.`, {
      facts: { directory: hostPath },
      hint: 'make the directory, or name another one with --dir',
    });
  }
}

export function socketsOf({ listen = [], wasi }: RunRequest): readonly ListenRequest[] {
  if (listen.length === 0 || wasi === 'stasis') return listen;
  throw new HostError('ERR_CANNOT_LISTEN', `The WASI layer ${wasi} has no sockets.`, {
    hint: 'leave --listen or --wasi out',
  });
}
