/**
 * The master key's file: one line, `stasis vault key 1 <64 hex digits>`, mode 0600, outside the vault.
 *
 * It appears under its name whole or not at all, and never in place of another: it is written under a
 * scratch name, made durable, and linked.
 */
import type { KeyObject } from 'node:crypto';
import { basename, dirname, join, relative } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { makeDurableDirectory } from '../store/durable-directory.ts';
import type { FilePort } from '../store/file-port.ts';
import { asKey, KEY_BYTES } from './sealing.ts';

const PREFIX = 'stasis vault key 1 ';
const FILE_BYTES_MAX = 1024;
const OPEN_TO_OTHERS = 0o077;

export interface KeyFileOptions {
  readonly path: string;
  readonly files: FilePort;
  /** Effective user id of this process, or null where there is none. */
  readonly uid: number | null;
}

/** The key, or null when there is no file. Throws ERR_VAULT_KEY for a file that is open to others or no key. */
export async function readKeyFile(options: KeyFileOptions): Promise<KeyObject | null> {
  const { path, files, uid } = options;
  let text: string;
  try {
    const facts = await files.look(path);
    if (facts === null) return null;
    if (facts.kind !== 'file') throw unusable(path, 'it is not a file');
    if (uid !== null && facts.uid !== uid) throw unusable(path, 'it belongs to another user');
    if ((facts.mode & OPEN_TO_OTHERS) !== 0) {
      throw unusable(
        path,
        `other users may read it (mode ${facts.mode.toString(8)})`,
        `chmod 600 ${path}`,
      );
    }
    text = await readText(path, files);
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure('read the key file', error);
  }
  const match = /^stasis vault key 1 ([0-9a-f]{64})\n$/.exec(text);
  if (match === null) throw unusable(path, 'it does not hold a key');
  return asKey(Buffer.from(match[1]!, 'hex'));
}

async function readText(path: string, files: FilePort): Promise<string> {
  const file = await files.open(path);
  try {
    const buffer = Buffer.alloc(FILE_BYTES_MAX);
    let length = 0;
    for (;;) {
      const count = await file.read(buffer.subarray(length), length);
      length += count;
      if (count === 0 || length === buffer.length) return buffer.toString('latin1', 0, length);
    }
  } finally {
    await file.close();
  }
}

/**
 * Makes a new key unless there is one by now; gives back the one that is there in the end. Throws
 * ERR_DISK_FULL, ERR_IO, and what `readKeyFile` throws.
 */
export async function createKeyFile(
  options: KeyFileOptions & { readonly random: (bytes: number) => Uint8Array },
): Promise<KeyObject> {
  const { path, files, random } = options;
  const directory = dirname(path);
  const scratch = join(
    directory,
    `.${basename(path)}.${Buffer.from(random(8)).toString('hex')}.new`,
  );
  const line = `${PREFIX}${Buffer.from(random(KEY_BYTES)).toString('hex')}\n`;
  try {
    await makeDurableDirectory(directory, files);
    try {
      await writeDurably(scratch, Buffer.from(line), files);
      await linkUnlessThere(scratch, path, files);
    } finally {
      await files.remove(scratch).catch(() => undefined);
    }
    await files.syncDirectory(directory);
  } catch (error) {
    throw ioFailure('make the key file', error);
  }
  const key = await readKeyFile(options);
  if (key === null) throw unusable(path, 'it vanished');
  return key;
}

async function writeDurably(path: string, bytes: Uint8Array, files: FilePort): Promise<void> {
  const file = await files.create(path);
  try {
    for (let at = 0; at < bytes.length; ) at += await file.write(bytes.subarray(at), at);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Another process may have been first: its key counts. */
async function linkUnlessThere(from: string, path: string, files: FilePort): Promise<void> {
  try {
    await files.link(from, path);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

/** Throws ERR_VAULT_KEY when the key would lie in the vault: whoever took the one would have both. */
export function checkKeyOutside(keyFile: string, directory: string): void {
  const path = relative(directory, keyFile);
  if (path === '' || (!path.startsWith('..') && !path.startsWith('/'))) {
    throw unusable(keyFile, "it lies within the vault's directory", 'keep the key somewhere else');
  }
}

function unusable(path: string, why: string, hint?: string): HostError {
  return new HostError('ERR_VAULT_KEY', `The vault's key file can't be used: ${why}.`, {
    facts: { path },
    ...(hint === undefined ? {} : { hint }),
  });
}
