/**
 * The master key's file: one line, `stasis vault key 1 <64 hex digits>`, mode 0600, outside the vault.
 *
 * It appears under its name whole or not at all, and never in place of another: it is written under a
 * scratch name, made durable, and linked. Only a rotation replaces one, by renaming `<file>.next` once the
 * vault goes by it (`rotate-key.ts`).
 */
import type { KeyObject } from 'node:crypto';
import { basename, dirname, join, relative } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { makeDurableDirectory } from '../store/durable-directory.ts';
import { readSmallFile, writeWhole } from '../store/durable-file.ts';
import type { FilePort } from '../store/file-port.ts';
import { asKey, KEY_BYTES } from './sealing.ts';

const PREFIX = 'stasis vault key 1 ';
export const KEY_TEXT_BYTES_MAX = 1024;
const OPEN_TO_OTHERS = 0o077;

export interface KeyFileOptions {
  readonly path: string;
  readonly files: FilePort;
  /** Effective user id of this process, or null where there is none. */
  readonly uid: number | null;
  /** The service manager put it there and answers for who may read it; it may belong to root. */
  readonly isCredential?: boolean;
}

/** The key, or null when there is no file. Throws ERR_VAULT_KEY for a file that is open to others or no key. */
export async function readKeyFile(options: KeyFileOptions): Promise<KeyObject | null> {
  const { path, files, uid, isCredential = false } = options;
  let text: string | null;
  try {
    const facts = await files.look(path);
    if (facts === null) return null;
    if (facts.kind !== 'file') throw unusable(path, 'it is not a file');
    const isOurs = uid === null || facts.uid === uid || (isCredential && facts.uid === 0);
    if (!isOurs) throw unusable(path, 'it belongs to another user');
    // An access list, by which a credential is let through, shows as the group's bits.
    const open = isCredential ? 0o007 : OPEN_TO_OTHERS;
    if ((facts.mode & open) !== 0) {
      throw unusable(
        path,
        `other users may read it (mode ${facts.mode.toString(8)})`,
        `chmod 600 ${path}`,
      );
    }
    text = await readSmallFile(path, files, KEY_TEXT_BYTES_MAX);
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure('read the key file', error);
  }
  // Gone since the look: a rotation has given it its name.
  if (text === null) return null;
  const key = parseKey(text);
  if (key === null) throw unusable(path, 'it does not hold a key');
  return key;
}

/** The key that the line holds, or null for anything else. */
export function parseKey(text: string): KeyObject | null {
  const match = /^stasis vault key 1 ([0-9a-f]{64})\n$/.exec(text);
  return match === null ? null : asKey(Buffer.from(match[1]!, 'hex'));
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
  const scratch = join(directory, scratchName(path, Buffer.from(random(8)).toString('hex')));
  const line = `${PREFIX}${Buffer.from(random(KEY_BYTES)).toString('hex')}\n`;
  try {
    await makeDurableDirectory(directory, files);
    try {
      await writeWhole(scratch, Buffer.from(line), files);
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

/** What a key file is called until it is whole; `mark` tells those of several processes apart. */
function scratchName(path: string, mark: string): string {
  return `.${basename(path)}.${mark}.new`;
}

/** Another process may have been first: its key counts. */
async function linkUnlessThere(from: string, path: string, files: FilePort): Promise<void> {
  try {
    await files.link(from, path);
  } catch (error) {
    // Whoever made the vault meanwhile took our file for one that was left behind.
    const isSwept = errorCode(error) === 'ENOENT' && (await files.look(path)) !== null;
    if (errorCode(error) !== 'EEXIST' && !isSwept) throw error;
  }
}

/** Where a rotation keeps the new key until the vault goes by it. */
export function nextKeyPath(path: string): string {
  return `${path}.next`;
}

/**
 * Makes the key that is to follow, in place of one that no vault came to go by. Whoever calls it holds the
 * vault's write lock. Throws ERR_DISK_FULL, ERR_IO.
 */
export async function createNextKey(
  options: KeyFileOptions & { readonly random: (bytes: number) => Uint8Array },
): Promise<KeyObject> {
  const path = nextKeyPath(options.path);
  try {
    if ((await options.files.look(path)) !== null) await options.files.remove(path);
  } catch (error) {
    throw ioFailure('make the new key file', error);
  }
  return createKeyFile({ ...options, path });
}

/** Whether a rotation was begun and not ended, or a key was not whole when whoever made it was killed. */
export async function hasNextKey(options: KeyFileOptions): Promise<boolean> {
  const next = nextKeyPath(options.path);
  if ((await readKeyFile({ ...options, path: next })) !== null) return true;
  return (await leftScratches(options.path, options.files)).length > 0;
}

/** Scratch files of `path` and of its `.next` that whoever wrote them left when it was killed, or has not linked yet. */
async function leftScratches(path: string, files: FilePort): Promise<string[]> {
  const directory = dirname(path);
  const names = await files.list(directory).catch((error: unknown) => {
    // Where we may not look we made none.
    if (['ENOENT', 'EACCES'].includes(errorCode(error) ?? '')) return [];
    throw ioFailure('look for a new key file', error);
  });
  const [before, after] = scratchName(path, '*').split('*') as [string, string];
  return names
    .filter((name) => name.startsWith(before) && name.endsWith(after))
    .map((name) => join(directory, name));
}

/**
 * Ends a rotation that was begun: the new key takes the old one's place, or is removed if the vault does
 * not go by it. Whoever calls it holds the vault's write lock. Throws ERR_DISK_FULL, ERR_IO.
 */
export async function settleNextKey(
  options: KeyFileOptions,
  isRight: (key: KeyObject) => boolean,
): Promise<void> {
  const { path, files } = options;
  const next = await readKeyFile({ ...options, path: nextKeyPath(path) });
  try {
    for (const scratch of await leftScratches(path, files)) await files.remove(scratch);
    if (next === null) return;
    if (isRight(next)) await files.rename(nextKeyPath(path), path);
    else await files.remove(nextKeyPath(path));
    await files.syncDirectory(dirname(path));
  } catch (error) {
    throw ioFailure('put the new key file in place', error);
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
