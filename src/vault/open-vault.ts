/**
 * Opening a vault: its directory, its key, its store, in that order, and nothing made or changed before
 * all that is there already was found in order.
 */
import type { KeyObject } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { makeDurableDirectory } from '../store/durable-directory.ts';
import { findEmbeddedStore, hasPacks, openEmbeddedStore } from '../store/embedded-store.ts';
import type { FilePort } from '../store/file-port.ts';
import { nodeFiles } from '../store/node-files.ts';
import type { Store, VaultRow } from '../store/store.ts';
import { auditLedger } from './audit.ts';
import { backUpVault } from './back-up-vault.ts';
import { COLLECT_DEFAULTS, collectGarbage } from './collect-garbage.ts';
import { vaultDamaged } from './damage.ts';
import { checkKeyOutside } from './key-file.ts';
import { appendLedger, checkLedgerTail, walkLedger } from './ledger.ts';
import {
  findMasterKey,
  type KeyPlace,
  type MasterKey,
  missingKey,
  unlockVault,
} from './master-key.ts';
import { checkCheckpoint, openCheckpoint } from './open-checkpoint.ts';
import {
  grantOperator,
  listOperators,
  loadRequested,
  noteOperator,
  revokeOperator,
} from './operators.ts';
import { checkOwnerList, sealOwnerList } from './owner-list.ts';
import { reencryptOwners } from './reencrypt-owner.ts';
import { removeCheckpoints, TRASH_GENERATIONS } from './remove-checkpoints.ts';
import { repairCounts } from './repair-counts.ts';
import { finishRotation, rotateKey } from './rotate-key.ts';
import { sealCheckpoint } from './seal-checkpoint.ts';
import { findCheckpoint, selectCheckpoints } from './select-checkpoint.ts';
import { shredOwner } from './shred-owner.ts';
import { claimCheckpoint, listUses, readCheckpointUse, settleCheckpoint } from './use.ts';
import type { Vault } from './vault.ts';
import { createContext, type VaultContext } from './vault-context.ts';
import { deriveVaultKeys, sealCheck } from './vault-keys.ts';
import { measureUsage } from './vault-usage.ts';
import { verifyVault } from './verify-vault.ts';
import { checkWitness, readWitness, type Witnessed } from './witness.ts';

export interface VaultOptions {
  readonly directory: string;
  /** A file lies outside `directory`; it is made together with the vault, and never afterwards. */
  readonly key: KeyPlace;
  readonly now: () => Date;
  /** Unpredictable bytes. */
  readonly random: (bytes: number) => Uint8Array;
  /** `existing`: ERR_NO_SUCH_DIRECTORY when there is no vault yet. `create`, unless told, makes one. */
  readonly mode?: 'create' | 'existing';
  /** A file outside the vault that is told how far the vault has come, and is asked when it is opened. */
  readonly witness?: string;
  /** Open the vault whatever the witness says, and note in the ledger that this was done. */
  readonly acceptRollback?: boolean;
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
  const place = options.key;
  if (place.kind === 'file') {
    const path = resolve(place.path);
    checkKeyOutside(await realPath(path, files), await realPath(directory, files));
  }
  const there = await checkDirectory(directory, files, uid);
  // Before the key: a key that appears later than this look belongs to whoever made the vault.
  const found = there ? await findEmbeddedStore(directory, files) : { index: false, packs: false };
  if (!found.index && found.packs) throw vaultDamaged("The vault's index", { missing: true });
  if (!found.index && mode === 'existing') {
    throw new HostError('ERR_NO_SUCH_DIRECTORY', 'There is no vault yet.', {
      facts: { directory },
    });
  }
  const master = findMasterKey(place, { files, uid, random });
  // Nothing is made for a vault without its key.
  const key = found.index ? null : await master.forNewVault();
  if (found.index && (await master.candidates()).length === 0) {
    throw missingKey({ path: master.file?.path ?? null });
  }
  if (!there) await makeDirectory(directory, files);

  const writer = Buffer.from(random(8)).toString('hex');
  const store = await openEmbeddedStore({ directory, files, writer });
  try {
    await addFirstRows(store, key, { now, random, directory, files, master });
    const unlock = (row: VaultRow) => unlockVault(master, row);
    const witness =
      options.witness === undefined ? null : { path: resolve(options.witness), files, random };
    const seen = witness === null ? null : await readWitness(witness);
    const context = createContext({ store, now, random, unlock, witness });
    await context.read(async (view, keys) => {
      await checkLedgerTail(view, keys);
      await checkOwnerList(view, keys);
      if (seen !== null && options.acceptRollback !== true) {
        await checkWitness(view, keys.vaultId, seen);
      }
    });
    if (options.acceptRollback === true) await acceptRollback(context, seen);
    await finishRotation(context, master);
    await store.packs.sweep(TRASH_GENERATIONS, 'trash');
    return bindVault(context, master, { directory, files });
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function acceptRollback({ write, now }: VaultContext, seen: Witnessed | null): Promise<void> {
  const seenNumber = seen?.entries ?? 0;
  const event = { event: 'rollback accepted', seenNumber, seenHead: seen?.head ?? '' } as const;
  await write((transaction, keys) => appendLedger(transaction, keys, now(), event));
}

async function noteRestored({ write, now }: VaultContext): Promise<void> {
  await write(async (transaction, keys) => {
    const last = (await transaction.ledgerTail(1)).at(-1)!;
    const head = Buffer.from(last.mac).toString('hex');
    await appendLedger(transaction, keys, now(), { event: 'restored from backup', head });
  });
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
    if (errorCode(error) === 'EACCES') {
      throw new HostError('ERR_STATE_ACCESS', 'The vault or its key is not open to this user.', {
        facts: { path },
        cause: error,
      });
    }
    throw ioFailure('find the vault or its key', error);
  }
}

/** A new vault gets its first rows, under `key` or, when another process made the index, the key there is. */
async function addFirstRows(
  { index }: Store,
  key: KeyObject | null,
  {
    now,
    random,
    directory,
    files,
    master,
  }: Pick<VaultOptions, 'now' | 'random' | 'directory'> & {
    readonly files: FilePort;
    readonly master: MasterKey;
  },
): Promise<void> {
  if ((await index.read((view) => view.vault())) !== null) return;
  await index.write(async (transaction) => {
    if ((await transaction.vault()) !== null) return;
    // Nobody has written a pack yet in a vault whose first rows were never there.
    if (await hasPacks(directory, files)) throw vaultDamaged("The vault's first record");
    const id = random(16);
    const made = deriveVaultKeys(key ?? (await master.forNewVault()), id);
    const entry = await appendLedger(transaction, made, now(), { event: 'vault created' });
    const owners = sealOwnerList(made, { owners: [], epoch: 0 }, entry, random);
    const check = sealCheck(made, random);
    await transaction.addVault({ id, check, owners, ledgerKeys: null });
  });
}

function bindVault(
  context: VaultContext,
  master: MasterKey,
  { directory: where, files }: { readonly directory: string; readonly files: FilePort },
): Vault {
  const { store, read } = context;
  return {
    seal: (request) => sealCheckpoint(context, request),
    list: async (requester, { name, job } = {}) => {
      await noteOperator(context, requester, { event: 'operator listed' });
      return selectCheckpoints(
        context,
        requester,
        {
          matches: (info) => (name ?? info.name) === info.name,
          ...(job === undefined ? {} : { job }),
        },
        Number.POSITIVE_INFINITY,
      );
    },
    find: (requester, selector) => findCheckpoint(context, requester, selector),
    check: (requester, id, software) => checkCheckpoint(context, requester, id, software),
    open: (requester, id, software) => openCheckpoint(context, requester, id, software),
    remove: (requester, ids) => removeCheckpoints(context, requester, ids),
    claim: (requester, id, request) => claimCheckpoint(context, requester, id, request),
    settle: (requester, id, run, endedWell) =>
      settleCheckpoint(context, requester, id, run, endedWell),
    use: (requester, id) => readCheckpointUse(context, requester, id),
    uses: (requester) => listUses(context, requester),
    grant: (requester, operator) => grantOperator(context, requester, operator),
    revoke: (requester, operator) => revokeOperator(context, requester, operator),
    mayAsk: async (requester) =>
      requester.operator === undefined ||
      (await read((view, keys) => loadRequested(view, keys, requester))) !== null,
    operators: (requester) => listOperators(context, requester),
    verifyLedger: () => read((view, keys) => walkLedger(view, keys)),
    audit: (filter) => auditLedger(context, filter),
    usage: (owner) => measureUsage(context, owner),
    noteRestored: () => noteRestored(context),
    shredOwner: (owner) => shredOwner(context, owner),
    verify: (request) => verifyVault(context, request),
    repairCounts: () => repairCounts(context),
    backUp: (directory) => backUpVault(context, { from: where, to: directory, files }),
    collect: (request) => collectGarbage(context, { ...COLLECT_DEFAULTS, ...request }),
    rotateKey: (request) => rotateKey(context, master, request),
    resumeReencryption: () => reencryptOwners(context),
    close: () => store.close(),
  };
}
