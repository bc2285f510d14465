/**
 * The ledger as a list of what happened. The whole chain is checked on the way, whatever is asked for.
 */
import type { CborValue } from '../cbor/cbor.ts';
import { type LedgerHead, readEntry, walkLedger } from './ledger.ts';
import { jobTag, loadOwnerKeys } from './owner-state.ts';
import type { VaultContext } from './vault-context.ts';

/** All conditions given have to hold. */
export interface AuditFilter {
  /** Entries about this owner only. */
  readonly owner?: string;
  readonly event?: string;
  /** Entries about checkpoints of this job of that owner: its id. Needs `owner`. */
  readonly job?: string;
  readonly since?: Date;
  /**
   * Count the owner's entries from 1, and tell the last of them as the head: nothing about how much others
   * do. Needs `owner`.
   */
  readonly alone?: boolean;
}

export interface AuditEntry {
  readonly number: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly event: string;
  /** What else the entry says: ids, owners' names, counts. Bytes are in hex. */
  readonly facts: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

export interface Audit {
  readonly entries: readonly AuditEntry[];
  /** Of the whole ledger, whatever was asked for, unless `alone`. */
  readonly head: LedgerHead;
}

/** Throws ERR_VAULT_DAMAGED. */
export async function auditLedger(
  { read }: VaultContext,
  { owner, event, job, since, alone = false }: AuditFilter,
): Promise<Audit> {
  return read(async (view, keys) => {
    const own = owner === undefined ? null : await loadOwnerKeys(view, keys, owner);
    const tag = job === undefined || own === null ? null : hex(jobTag(own.keys, job));
    const entries: AuditEntry[] = [];
    let ownHead: LedgerHead = { entries: 0, head: '' };
    const head = await walkLedger(view, keys, (row) => {
      if (owner !== undefined && row.owner !== owner) return;
      ownHead = { entries: ownHead.entries + 1, head: hex(row.mac) };
      const told = tell(readEntry(row));
      const entry = alone ? { ...told, number: ownHead.entries } : told;
      const isWanted =
        (event === undefined || entry.event === event) &&
        (since === undefined || entry.time >= since.toISOString()) &&
        (job === undefined || (tag !== null && entry.facts['job'] === tag));
      if (isWanted) entries.push(entry);
    });
    return { entries, head: alone ? ownHead : head };
  });
}

function tell(record: { readonly [key: string]: CborValue }): AuditEntry {
  const facts: Record<string, AuditEntry['facts'][string]> = {};
  for (const [name, value] of Object.entries(record)) {
    if (name === 'number' || name === 'time' || name === 'event' || value === null) continue;
    if (value instanceof Uint8Array) facts[name] = hex(value);
    else if (Array.isArray(value)) facts[name] = value.map(String);
    else if (typeof value !== 'object')
      facts[name] = typeof value === 'bigint' ? `${value}` : value;
  }
  return {
    number: Number(record['number']),
    time: String(record['time']),
    event: String(record['event']),
    facts,
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
