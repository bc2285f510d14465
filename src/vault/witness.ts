/**
 * A witness: a small file outside the vault, best on another disk or under another user, that says how far
 * the vault's ledger had come. A vault that is put back as a whole looks like what it was; held against the
 * witness it does not.
 *
 *   stasis witness 1 <vault id, hex> <entries> <mac of the last entry, hex>\n
 *
 * Invariants:
 * 1. It is written after the commit and before the commit is told to anybody, whole or not at all, durable,
 *    within a transaction of the index: so it never goes back, however many processes write it.
 * 2. It may lag behind the vault by what a crash cut off between commit and witness. It is never ahead of it.
 */
import { dirname } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import { readSmallFile, writeWhole } from '../store/durable-file.ts';
import type { FilePort } from '../store/file-port.ts';
import type { IndexView, LedgerRow } from '../store/store.ts';

const FILE_BYTES_MAX = 1024;

export interface Witnessed {
  readonly vault: string;
  readonly entries: number;
  /** Hex. */
  readonly head: string;
}

export interface WitnessOptions {
  readonly path: string;
  readonly files: FilePort;
  readonly random: (bytes: number) => Uint8Array;
}

/** Null when there is no file. Throws ERR_IO, and ERR_VAULT_ROLLED_BACK for a file that is no witness. */
export async function readWitness({ path, files }: WitnessOptions): Promise<Witnessed | null> {
  let text: string | null;
  try {
    text = await readSmallFile(path, files, FILE_BYTES_MAX);
  } catch (error) {
    throw ioFailure('read the witness', error);
  }
  if (text === null) return null;
  const match = /^stasis witness 1 ([0-9a-f]{32}) ([0-9]{1,15}) ([0-9a-f]{64})\n$/.exec(text);
  if (match === null) throw rolledBack('the witness can not be read', { witness: path });
  return { vault: match[1]!, entries: Number(match[2]), head: match[3]! };
}

/** Throws ERR_VAULT_ROLLED_BACK when the ledger is not what it was when the witness was written, or more. */
export async function checkWitness(
  view: IndexView,
  vaultId: Uint8Array,
  seen: Witnessed,
): Promise<void> {
  if (seen.vault !== hex(vaultId)) {
    throw rolledBack('the witness saw another vault', { seen: seen.vault, found: hex(vaultId) });
  }
  const last = (await view.ledgerTail(1)).at(-1);
  const entries = last?.number ?? 0;
  const facts = { 'entries seen': seen.entries, 'entries found': entries };
  if (entries < seen.entries) throw rolledBack('its ledger ends earlier', facts);
  if (seen.entries === 0) return;
  const [row] = await view.ledger(seen.entries, 1);
  if (row?.number !== seen.entries || hex(row.mac) !== seen.head) {
    throw rolledBack('its ledger went another way', facts);
  }
}

/** Throws ERR_DISK_FULL, ERR_IO. */
export async function writeWitness(
  { path, files, random }: WitnessOptions,
  vaultId: Uint8Array,
  last: Pick<LedgerRow, 'number' | 'mac'>,
): Promise<void> {
  const line = `stasis witness 1 ${hex(vaultId)} ${last.number} ${hex(last.mac)}\n`;
  const scratch = `${path}.${hex(random(8))}`;
  try {
    await writeWhole(scratch, Buffer.from(line), files);
    await files.rename(scratch, path);
    await files.syncDirectory(dirname(path));
  } catch (error) {
    await files.remove(scratch).catch(() => undefined);
    throw ioFailure('write the witness', error);
  }
}

function rolledBack(why: string, facts: Readonly<Record<string, string | number>>): HostError {
  return new HostError(
    'ERR_VAULT_ROLLED_BACK',
    `The vault is not the one that was witnessed: ${why}.`,
    {
      facts,
      hint: 'put the right vault back; if it was put back on purpose, stasis vault accept-rollback',
    },
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
