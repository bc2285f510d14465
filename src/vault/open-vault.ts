/**
 * Opening a vault: its directory, its key, its store, in that order, and nothing made or changed before
 * all that is there already was found in order.
 */
import type { KeyObject } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { makeDurableDirectory } from '../store/durable-directory.ts';
import { findEmbeddedStore, openEmbeddedStore } from '../store/embedded-store.ts';
import type { FilePort } from '../store/file-port.ts';
import { nodeFiles } from '../store/node-files.ts';
import type { Store } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import { checkKeyOutside, createKeyFile, type KeyFileOptions, readKeyFile } from './key-file.ts';
import { appendLedger, checkLedgerTail, walkLedger } from './ledger.ts';
import { checkCheckpoint, openCheckpoint } from './open-checkpoint.ts';
import { checkOwnerList, sealOwnerList } from './owner-list.ts';
import { removeCheckpoints } from './remove-checkpoints.ts';
import { sealCheckpoint } from './seal-checkpoint.ts';
import { findCheckpoint, selectCheckpoints } from './select-checkpoint.ts';
import type { Vault } from './vault.ts';
import type { VaultContext } from './vault-context.ts';
import { deriveVaultKeys, isRightKey, sealCheck, type VaultKeys } from './vault-keys.ts';

export interface VaultOptions {
  readonly directory: string;
  /** Outside `directory`. Made together with the vault, and never afterwards. */
  readonly keyFile: string;
  readonly now: () => Date;
  /** Unpredictable bytes. */
  readonly random: (bytes: number) => Uint8Array;
  /** `existing`: ERR_NO_SUCH_DIRECTORY when there is no vault yet. `create`, unless told, makes one. */
  readonly mode?: 'create' | 'existing';
  /** The file system; this machine's unless told. */
  readonly files?: FilePort;
}

const OPEN_TO_OTHERS = 0o077;

/**
 * Opens the vault in `directory`, or makes one.
 *
 * Throws ERR_VAULT_KEY for a key that is missing, unusable or another vault's, and then has made or
 * changed nothing; ERR_VAULT_VERSION, ERR_VAULT_DAMAGED, ERR_VAULT_BUSY, ERR_STATE_ACCESS for a directory
 * that is open to others, ERR_DISK_FULL, ERR_IO.
 */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { now, random, mode = 'create', files = nodeFiles } = options;
  const uid = process.geteuid?.() ?? null;
  const directory = resolve(options.directory);
  const keyFile = resolve(options.keyFile);
  checkKeyOutside(await realPath(keyFile, files), await realPath(directory, files));
  const there = await checkDirectory(directory, files, uid);
  // Before the key: a key that appears later than this look belongs to whoever made the vault.
  const found = there ? await findEmbeddedStore(directory, files) : { index: false, packs: false };
  if (!found.index && found.packs) throw vaultDamaged("The vault's index", { missing: true });
  if (!found.index && mode === 'existing') {
    throw new HostError('ERR_NO_SUCH_DIRECTORY', 'There is no vault yet.', {
      facts: { directory },
    });
  }
  const master = await masterKey({ path: keyFile, files, uid, random }, found.index);
  if (!there) await makeDirectory(directory, files);

  const writer = Buffer.from(random(8)).toString('hex');
  const store = await openEmbeddedStore({ directory, files, writer });
  try {
    const keys = await unlock(store, master, { now, random }, found.packs);
    await store.packs.sweep();
    return bindVault({ store, keys, now, random });
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function checkDirectory(
  directory: string,
  files: FilePort,
  uid: number | null,
): Promise<boolean> {
  let facts: Awaited<ReturnType<FilePort['look']>>;
  try {
    facts = await files.look(directory);
  } catch (error) {
    throw ioFailure("look at the vault's directory", error);
  }
  if (facts === null) return false;
  const mode = facts.mode.toString(8);
  if (facts.kind !== 'directory') throw noAccess(directory, mode, 'is not a directory');
  if (uid !== null && facts.uid !== uid) throw noAccess(directory, mode, 'belongs to another user');
  if ((facts.mode & OPEN_TO_OTHERS) !== 0) {
    throw noAccess(directory, mode, 'is open to other users', `chmod 700 ${directory}`);
  }
  return true;
}

function noAccess(directory: string, mode: string, why: string, hint?: string): HostError {
  return new HostError('ERR_STATE_ACCESS', `The vault's directory ${why}.`, {
    facts: { directory, mode },
    ...(hint === undefined ? {} : { hint }),
  });
}

async function masterKey(
  options: KeyFileOptions & { readonly random: VaultOptions['random'] },
  vaultExists: boolean,
): Promise<KeyObject> {
  const key = await readKeyFile(options);
  if (key !== null) return key;
  if (!vaultExists) return createKeyFile(options);
  throw new HostError('ERR_VAULT_KEY', "The vault's key file is missing.", {
    facts: { path: options.path },
    hint: 'put the key file back; without it no checkpoint can be opened',
  });
}

async function makeDirectory(directory: string, files: FilePort): Promise<void> {
  try {
    await makeDurableDirectory(directory, files);
  } catch (error) {
    throw ioFailure("make the vault's directory", error);
  }
}

/** The path past symbolic links, of which the end may not exist yet. */
async function realPath(path: string, files: FilePort): Promise<string> {
  try {
    return await files.resolve(path);
  } catch (error) {
    const parent = dirname(path);
    if (errorCode(error) === 'ENOENT' && parent !== path) {
      return join(await realPath(parent, files), basename(path));
    }
    throw ioFailure('find the vault or its key', error);
  }
}

/** The vault's keys, for a vault that the master key belongs to; a new vault gets its first rows. */
async function unlock(
  { index }: Store,
  master: KeyObject,
  { now, random }: Pick<VaultOptions, 'now' | 'random'>,
  hasPacks: boolean,
): Promise<VaultKeys> {
  const known = await index.read((view) => view.vault());
  const row = known ?? (await index.write((transaction) => firstRows(transaction)));
  const keys = deriveVaultKeys(master, row.id);
  if (!isRightKey(keys, row.check)) {
    throw new HostError('ERR_VAULT_KEY', 'The key file is not the key of this vault.', {
      hint: 'put the key file of this vault back',
    });
  }
  await index.read(async (view) => {
    await checkLedgerTail(view, keys);
    await checkOwnerList(view, keys);
  });
  return keys;

  async function firstRows(transaction: Parameters<Parameters<typeof index.write>[0]>[0]) {
    const first = await transaction.vault();
    if (first !== null) return first;
    if (hasPacks) throw vaultDamaged("The vault's first record");
    const id = random(16);
    const made = deriveVaultKeys(master, id);
    const entry = await appendLedger(transaction, made, now(), { event: 'vault created' });
    const owners = sealOwnerList(made, [], entry, random);
    const fresh = { id, check: sealCheck(made, random), owners };
    await transaction.addVault(fresh);
    return fresh;
  }
}

function bindVault(context: VaultContext): Vault {
  const { store, keys } = context;
  return {
    seal: (request) => sealCheckpoint(context, request),
    list: (requester, { name, job } = {}) =>
      selectCheckpoints(
        context,
        requester,
        (info) => (name ?? info.name) === info.name && (job ?? info.job) === info.job,
        Number.POSITIVE_INFINITY,
      ),
    find: (requester, selector) => findCheckpoint(context, requester, selector),
    check: (requester, id, software) => checkCheckpoint(context, requester, id, software),
    open: (requester, id, software) => openCheckpoint(context, requester, id, software),
    remove: (requester, ids) => removeCheckpoints(context, requester, ids),
    verifyLedger: () => store.index.read((view) => walkLedger(view, keys)),
    close: () => store.close(),
  };
}
