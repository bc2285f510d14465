/**
 * Rows as they come out of SQLite, and what they are to us. Types are checked on the way, since a damaged
 * database can hold anything anywhere.
 */
import type { SQLOutputValue } from 'node:sqlite';
import { HostError } from '../fault/host-error.ts';
import type {
  CheckpointKey,
  CheckpointRow,
  ChunkRow,
  DigestRow,
  JobListRow,
  LedgerRow,
  OwnerRow,
  PackRow,
  TrashRow,
} from './store.ts';

export type Row = Record<string, SQLOutputValue>;

export function ownerRow(row: Row): OwnerRow {
  return {
    number: integer(row, 'number'),
    name: text(row, 'name'),
    wrappedKey: blob(row, 'wrapped_key'),
    state: blob(row, 'state'),
  };
}

export function chunkRow(row: Row, identity: Uint8Array, pack: string): ChunkRow {
  return {
    identity,
    pack,
    offsetBytes: integer(row, 'offset_bytes'),
    storedBytes: integer(row, 'stored_bytes'),
    plainBytes: integer(row, 'plain_bytes'),
    method: integer(row, 'method'),
  };
}

export function packRow(row: Row): PackRow {
  return {
    name: text(row, 'name'),
    owner: integer(row, 'owner'),
    wrappedKey: blob(row, 'wrapped_key'),
    bytes: integer(row, 'bytes'),
  };
}

export function trashRow(row: Row): TrashRow {
  return {
    pack: text(row, 'name'),
    generation: integer(row, 'generation'),
    bytes: integer(row, 'bytes'),
  };
}

export function checkpointKey(row: Row): CheckpointKey {
  return {
    id: text(row, 'id'),
    sequence: integer(row, 'sequence'),
    job: blobOrNull(row, 'job'),
    mark: blobOrNull(row, 'mark'),
  };
}

export function checkpointRow(row: Row): CheckpointRow {
  return { ...checkpointKey(row), owner: integer(row, 'owner'), record: blob(row, 'record') };
}

export function digestRow(row: Row): DigestRow {
  return { number: integer(row, 'place'), digest: blob(row, 'digest') };
}

export function jobListRow(row: Row): JobListRow {
  return {
    job: blob(row, 'job'),
    height: integer(row, 'height', 1),
    digest: blob(row, 'digest'),
  };
}

export function ledgerRow(row: Row): LedgerRow {
  return {
    number: integer(row, 'number'),
    owner: row['owner'] === null ? null : text(row, 'owner'),
    record: blob(row, 'record'),
    mac: blob(row, 'mac'),
  };
}

export function integer(row: Row | undefined, column: string, min = 0): number {
  const value = row?.[column];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min)
    throw damaged(column);
  return value;
}

export function text(row: Row | undefined, column: string): string {
  const value = row?.[column];
  if (typeof value !== 'string') throw damaged(column);
  return value;
}

export function blob(row: Row | undefined, column: string): Uint8Array {
  const value = row?.[column];
  if (!(value instanceof Uint8Array)) throw damaged(column);
  return value;
}

export function blobOrNull(row: Row | undefined, column: string): Uint8Array | null {
  return row?.[column] === null ? null : blob(row, column);
}

export function damaged(column: string): HostError {
  return new HostError(
    'ERR_VAULT_DAMAGED',
    "The vault's index is damaged: a row is not as written.",
    {
      facts: { column },
    },
  );
}
