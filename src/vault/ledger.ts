/**
 * The ledger: what ever happened in the vault, one entry an event, chained.
 *
 *   record   CBOR map { number, time, event, … }, in the clear: it names ids, never content or job names
 *   mac      HMAC-SHA-256 under the ledger key of the mac before (32 zero bytes at first), then the record
 *
 * Invariants:
 * 1. Numbers count from 1 without a gap, and each mac covers the whole past.
 * 2. An entry is added in the transaction that makes it true.
 * 3. Each owner's state names that owner's last entry (`owner-state.ts`): when the ledger's end is cut
 *    off, or the owner's rows are put back as they once were, that is seen as soon as the owner is looked at.
 */
import { type KeyObject, timingSafeEqual } from 'node:crypto';
import type { CborValue } from '../cbor/cbor.ts';
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import type { IndexTransaction, IndexView, LedgerRow } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { vaultDamaged } from './damage.ts';
import { authenticate, type VaultKeys } from './vault-keys.ts';

export type LedgerEvent =
  | { readonly event: 'vault created' }
  | { readonly event: 'owner added'; readonly owner: string }
  | {
      readonly event: 'sealed';
      readonly owner: string;
      readonly checkpoint: string;
      readonly sequence: number;
      /** Of the job, as the checkpoint's row has it. */
      readonly job: Uint8Array;
    }
  | {
      readonly event: 'removed';
      readonly owner: string;
      readonly checkpoint: string;
      readonly sequence: number;
      readonly job?: Uint8Array;
      readonly freedPacks: readonly string[];
    }
  | ({ readonly event: 'claimed' | 'claimed again' | 'used' | 'freed' | 'cloned' } & UseFacts)
  | {
      readonly event: 'operator granted' | 'operator revoked' | 'operator listed';
      readonly owner: string;
      readonly operator: string;
    }
  | {
      readonly event: 'operator opened';
      readonly owner: string;
      readonly operator: string;
      readonly checkpoint: string;
    }
  /** The first entry under the new master's key. */
  | { readonly event: 'key rotated' }
  | { readonly event: 'reencryption begun'; readonly epoch: number }
  | {
      readonly event: 'owner reencrypted';
      readonly owner: string;
      readonly epoch: number;
      readonly freedPacks: readonly string[];
    }
  | {
      readonly event: 'owner shredded';
      readonly owner: string;
      readonly checkpoints: number;
      readonly packs: readonly string[];
    }
  | { readonly event: 'repacked'; readonly freedPacks: readonly string[] }
  | {
      readonly event: 'counts repaired';
      readonly chunks: number;
      readonly packs: number;
      readonly freedPacks: readonly string[];
    }
  | {
      readonly event: 'rollback accepted';
      /** What the witness had seen. */
      readonly seenNumber: number;
      readonly seenHead: string;
    }
  | { readonly event: 'restored from backup'; readonly head: string };

/** Which run goes on from which checkpoint: `use.ts`. */
interface UseFacts {
  readonly owner: string;
  readonly checkpoint: string;
  readonly sequence: number;
  readonly job: string;
  readonly run: number;
  /** Who restored it, when that was not the owner. */
  readonly operator?: string;
}

export type LedgerEventName = LedgerEvent['event'];

const BEFORE_FIRST = new Uint8Array(32);
const ENTRIES_PER_READ = 512;

/** Checks the end of the chain and adds an entry. Throws ERR_VAULT_DAMAGED. */
export async function appendLedger(
  transaction: IndexTransaction,
  keys: VaultKeys,
  time: Date,
  event: LedgerEvent,
): Promise<LedgerRow> {
  const last = await checkLedgerTail(transaction, keys);
  const number = (last?.number ?? 0) + 1;
  const record = encodeCbor({ ...event, number, time: time.toISOString() });
  const owner = 'owner' in event ? event.owner : null;
  const mac = authenticate(keyOf(keys, number), last?.mac ?? BEFORE_FIRST, record);
  const row = { number, owner, record, mac };
  await transaction.addLedger(row);
  return row;
}

/** The last entry, checked against the one before it; null in an empty ledger. Throws ERR_VAULT_DAMAGED. */
export async function checkLedgerTail(view: IndexView, keys: VaultKeys): Promise<LedgerRow | null> {
  const tail = await view.ledgerTail(2);
  const last = tail.at(-1);
  if (last === undefined) return null;
  checkEntry(keys, last, tail.length === 2 ? tail[0]! : null);
  return last;
}

export interface LedgerHead {
  /** How many entries there are. */
  readonly entries: number;
  /** Hex mac of the last one. */
  readonly head: string;
}

/**
 * Walks the whole chain, and hands over each entry once it was checked. Throws ERR_VAULT_DAMAGED with the
 * number of the first entry that is wrong.
 */
export async function walkLedger(
  view: IndexView,
  keys: VaultKeys,
  visit: (row: LedgerRow) => void = () => {},
): Promise<LedgerHead> {
  let last: LedgerRow | null = null;
  for (;;) {
    const rows: readonly LedgerRow[] = await view.ledger((last?.number ?? 0) + 1, ENTRIES_PER_READ);
    if (rows.length === 0) break;
    for (const row of rows) {
      checkEntry(keys, row, last);
      visit(row);
      last = row;
    }
    await turn();
  }
  const mac = last?.mac ?? BEFORE_FIRST;
  return { entries: last?.number ?? 0, head: Buffer.from(mac).toString('hex') };
}

function checkEntry(keys: VaultKeys, row: LedgerRow, before: LedgerRow | null): void {
  const number = (before?.number ?? 0) + 1;
  const mac = authenticate(keyOf(keys, number), before?.mac ?? BEFORE_FIRST, row.record);
  const isAuthentic =
    row.number === number && row.mac.length === mac.length && timingSafeEqual(row.mac, mac);
  // Authentic first: only then is the record read.
  if (!isAuthentic || !isAbout(row)) throw vaultDamaged('The ledger', { entry: row.number });
}

/** All that an entry says, for one that was authenticated. */
export function readEntry({ record }: Pick<LedgerRow, 'record'>): {
  readonly [key: string]: CborValue;
} {
  return decodeCbor(record) as { readonly [key: string]: CborValue };
}

/** What an entry tells of, for one that was authenticated. */
export function ledgerEventOf(row: Pick<LedgerRow, 'record'>): string {
  return String(readEntry(row)['event']);
}

function keyOf(keys: VaultKeys, number: number): KeyObject {
  return keys.pastLedger.find(({ last }) => number <= last)?.key ?? keys.ledger;
}

/** Whether number and owner stand in the record as they do in the row. */
function isAbout({ number, owner, record }: LedgerRow): boolean {
  const event = decodeCbor(record) as { readonly [key: string]: CborValue };
  return event['number'] === number && (event['owner'] ?? null) === owner;
}
