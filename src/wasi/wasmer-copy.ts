/**
 * Copies a host's directory into the file system of `@wasmer/wasi`, before the guest runs.
 *
 * The guest works on the copy: what it changes is nowhere but there, and goes into its images. Only
 * directories and plain files are copied; anything else is refused by name rather than left out.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import type { WasmerFiles } from './wasmer-package.ts';

/** Bytes that are copied at once; the package takes them twice for a moment. */
const CHUNK_BYTES = 1_048_576;

export interface CopiedDirectory {
  readonly hostPath: string;
  /** Where the copy is: `/` and everything relative begin at the root. */
  readonly guestPath: string;
}

/**
 * Throws ERR_USAGE for what can't be copied, ERR_RESOURCE_NOT_GRANTED when there is not enough room, and
 * ERR_IO and its like when the host can't read.
 */
export function copyDirectory(files: WasmerFiles, { hostPath, guestPath }: CopiedDirectory): void {
  let at = '';
  for (const part of guestPath.split('/')) {
    if (part === '' || part === '.') continue;
    at += `/${part}`;
    makeDirectory(files, at);
  }
  copyEntries(files, hostPath, at);
}

function copyEntries(files: WasmerFiles, from: string, to: string): void {
  for (const entry of entriesOf(from)) {
    const [source, target] = [join(from, entry.name), `${to}/${entry.name}`];
    if (entry.isDirectory()) {
      makeDirectory(files, target);
      copyEntries(files, source, target);
    } else if (entry.isFile()) copyFile(files, source, target);
    else throw notCopied(source, 'is neither a file nor a directory');
  }
}

function entriesOf(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw ioFailure(`read the directory ${path}`, error);
  }
}

/** It may be there from another copy. */
function makeDirectory(files: WasmerFiles, path: string): void {
  try {
    files.createDir(path);
  } catch (error) {
    if (isFull(error)) throw tooLarge(path);
    if (!/exist/i.test(reasonOf(error))) throw notCopied(path, reasonOf(error));
  }
}

function copyFile(files: WasmerFiles, from: string, to: string): void {
  const chunk = new Uint8Array(CHUNK_BYTES);
  let hostFd: number;
  try {
    hostFd = openSync(from, 'r');
  } catch (error) {
    throw ioFailure(`read ${from}`, error);
  }
  try {
    const file = files.open(to, { write: true, create_new: true });
    for (let length = -1; length !== 0; ) {
      length = read(from, hostFd, chunk);
      for (let done = 0; done < length; ) done += file.write(chunk.slice(done, length));
    }
    file.flush();
    file.free();
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw isFull(error) ? tooLarge(to) : notCopied(to, reasonOf(error));
  } finally {
    closeSync(hostFd);
  }
}

function read(path: string, hostFd: number, into: Uint8Array): number {
  try {
    return readSync(hostFd, into);
  } catch (error) {
    throw ioFailure(`read ${path}`, error);
  }
}

/** The package gives up, as a trap, when its memory can't grow. */
function isFull(error: unknown): boolean {
  return error instanceof Error && error.name === 'RuntimeError';
}

function tooLarge(path: string): HostError {
  return new HostError(
    'ERR_RESOURCE_NOT_GRANTED',
    'The directory does not fit into the memory that the guest may have.',
    { facts: { 'got as far as': path }, hint: 'raise --max-memory, or grant less' },
  );
}

function notCopied(path: string, why: string): HostError {
  return new HostError('ERR_USAGE', `${path} can't be copied into the memory of @wasmer/wasi.`, {
    facts: { reason: why },
    hint: 'grant a directory of plain files, or run the guest without --wasi wasmer',
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
