/**
 * Where the master key comes from:
 *
 *   file         a file of the user's own (`key-file.ts`), made together with the vault, and rotated in place
 *   credential   a file that the service manager hands over, such as systemd with LoadCredential=
 *   descriptor   an open descriptor that the process was started with; it is read once
 *
 * What the last two hold is somebody else's to keep: it is the same line as in a file, and is never written.
 * A vault can be made with it.
 */
import type { KeyObject } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import type { FilePort } from '../store/file-port.ts';
import type { VaultRow } from '../store/store.ts';
import {
  createKeyFile,
  KEY_TEXT_BYTES_MAX,
  type KeyFileOptions,
  nextKeyPath,
  parseKey,
  readKeyFile,
} from './key-file.ts';
import { withPastLedger } from './ledger-keys.ts';
import { deriveVaultKeys, isRightKey, type Random, type VaultKeys } from './vault-keys.ts';

/** Plain data, so that it can be handed to another process. */
export type KeyPlace =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'credential'; readonly path: string }
  | { readonly kind: 'descriptor'; readonly fd: number };

export interface MasterKey {
  readonly files: FilePort;
  readonly uid: number | null;
  /** The file that a rotation may replace; null when the key is somebody else's to keep. */
  readonly file: KeyFileOptions | null;
  /** Keys that may be the vault's, the likeliest first. Throws ERR_VAULT_KEY, ERR_IO. */
  candidates(): Promise<readonly KeyObject[]>;
  /** The key for a new vault; makes a file when there is none. Throws ERR_VAULT_KEY, ERR_DISK_FULL, ERR_IO. */
  forNewVault(): Promise<KeyObject>;
}

export function findMasterKey(
  place: KeyPlace,
  tools: { readonly files: FilePort; readonly uid: number | null; readonly random: Random },
): MasterKey {
  const { files, uid, random } = tools;
  switch (place.kind) {
    case 'file': {
      const file = { path: place.path, files, uid };
      return {
        files,
        uid,
        file,
        candidates: async () => {
          // In this order: one that is renamed meanwhile is then met under one name or the other.
          const next = await readKeyFile({ ...file, path: nextKeyPath(file.path) });
          const now = await readKeyFile(file);
          return [now, next].filter((key) => key !== null);
        },
        forNewVault: async () =>
          (await readKeyFile(file)) ?? (await createKeyFile({ ...file, random })),
      };
    }
    case 'credential':
      return given(tools, async () => {
        const key = await readKeyFile({ path: place.path, files, uid, isCredential: true });
        if (key === null) throw missingKey({ path: place.path });
        return key;
      });
    case 'descriptor':
      return given(tools, async () => readDescriptor(place.fd));
  }
}

function given(
  { files, uid }: Pick<MasterKey, 'files' | 'uid'>,
  read: () => Promise<KeyObject>,
): MasterKey {
  return { files, uid, file: null, candidates: async () => [await read()], forNewVault: read };
}

/**
 * Reads a key that comes by a descriptor, and closes that: a process that is started later would inherit it.
 * Throws ERR_VAULT_KEY, ERR_IO.
 */
export function claimKey(place: KeyPlace): void {
  if (place.kind === 'descriptor') readDescriptor(place.fd);
}

/** A pipe gives its content once, so what was read stays for the vault's next opening in this process. */
const alreadyRead = new Map<number, KeyObject>();

function readDescriptor(fd: number): KeyObject {
  const known = alreadyRead.get(fd);
  if (known !== undefined) return known;
  const buffer = Buffer.alloc(KEY_TEXT_BYTES_MAX);
  let length = 0;
  try {
    for (;;) {
      const count = readSync(fd, buffer, length, buffer.length - length, null);
      length += count;
      if (count === 0 || length === buffer.length) break;
    }
  } catch (error) {
    throw ioFailure('read the key from its descriptor', error);
  }
  const key = parseKey(buffer.toString('latin1', 0, length));
  buffer.fill(0);
  if (key === null) {
    throw new HostError('ERR_VAULT_KEY', 'The descriptor does not hold a key.', {
      facts: { descriptor: fd },
      hint: 'it has to give one line: stasis vault key 1 <64 hex digits>',
    });
  }
  alreadyRead.set(fd, key);
  closeSync(fd);
  return key;
}

/** The keys of the vault with that first row. Throws ERR_VAULT_KEY when no candidate fits, ERR_VAULT_DAMAGED. */
export async function unlockVault(master: MasterKey, row: VaultRow): Promise<VaultKeys> {
  const candidates = await master.candidates();
  for (const candidate of candidates) {
    const keys = deriveVaultKeys(candidate, row.id);
    if (isRightKey(keys, row.check)) return withPastLedger(keys, row);
  }
  if (candidates.length === 0) throw missingKey({ path: master.file?.path ?? null });
  throw new HostError('ERR_VAULT_KEY', 'The key file is not the key of this vault.', {
    hint: 'put the key file of this vault back',
  });
}

export function missingKey(facts: { readonly path: string | null }): HostError {
  return new HostError('ERR_VAULT_KEY', "The vault's key file is missing.", {
    facts,
    hint: 'put the key file back; without it no checkpoint can be opened',
  });
}
