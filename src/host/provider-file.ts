/**
 * The files of the user's providers, as the host sees them: it never loads them, it reads their digest.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { ForeignProvider } from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { withUserRights } from '../native/user-rights.ts';
import type { CellPath } from './cell-command.ts';

/** What a user asked for with `--provider`. */
export interface ProviderRequest {
  /** Absolute, without symbolic links as far as it existed. */
  readonly file: string;
  readonly export: string;
  readonly options: { readonly [key: string]: string };
}

const FILE_BYTES_MAX = 64 * 1024 * 1024;

/** Throws ERR_PROVIDER for a file that is not there, and ERR_IO. */
export function readProviderFiles(requests: readonly ProviderRequest[]): ForeignProvider[] {
  return requests.map(({ file, export: name, options }) => {
    const digest = createHash('sha256')
      .update(withUserRights(() => readWhole(file)))
      .digest('hex');
    return { module: file, export: name, options, digest };
  });
}

/**
 * How a provider is named in the software identity of a checkpoint: its file's name and its export, beside
 * the file's digest. Files that it imports are not part of it; its `version` is for them.
 */
export function providerFile({ module, export: name }: ForeignProvider): string {
  return `${basename(module)}#${name}`;
}

/** A provider may read the directory that its file lies in. */
export function providerDirectories(providers: readonly ForeignProvider[]): CellPath[] {
  return providers.map(({ module }) => ({ hostPath: dirname(module), readOnly: true }));
}

function readWhole(file: string): Uint8Array {
  try {
    const found = statSync(file);
    if (found.isFile() && found.size <= FILE_BYTES_MAX) return readFileSync(file);
  } catch (error) {
    const code = errorCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw ioFailure(`read ${file}`, error);
  }
  throw new HostError('ERR_PROVIDER', `There is no file ${file} to load a provider from.`, {
    facts: { file },
    hint: 'write --provider FILE#EXPORT, such as --provider ./counter.mjs',
  });
}
