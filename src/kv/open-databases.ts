/** A guest's open databases and cursors, by the numbers that it knows them by. */
import { type KeyRange, KvDatabase } from './database.ts';
import type { KvGrant } from './kv-grant.ts';
import { CURSORS_MAX, DATABASES_MAX, type KvState } from './kv-state.ts';

export interface OpenDatabase {
  readonly grant: KvGrant;
  readonly id: Uint8Array;
  /** null between commit and rebuild. */
  connection: KvDatabase | null;
}

export interface Cursor {
  readonly database: number;
  readonly range: KeyRange;
  /** The key that was given last; null at the beginning. */
  last: Uint8Array | null;
}

export class OpenDatabases {
  readonly databases = new Map<number, OpenDatabase>();
  readonly cursors = new Map<number, Cursor>();
  readonly #grants: ReadonlyMap<string, KvGrant>;

  constructor(grants: readonly KvGrant[]) {
    this.#grants = new Map(grants.map((grant) => [grant.name, grant]));
  }

  grantOf(name: string): KvGrant | null {
    return this.#grants.get(name) ?? null;
  }

  /** The number of a new one; null when there are as many as there may be. */
  add(grant: KvGrant): number | null {
    const number = lowestFree(this.databases, DATABASES_MAX);
    if (number === null) return null;
    const connection = new KvDatabase(grant.hostPath, grant.readOnly);
    this.databases.set(number, { grant, id: connection.id, connection });
    return number;
  }

  addCursor(database: number, range: KeyRange): number | null {
    const number = lowestFree(this.cursors, CURSORS_MAX);
    if (number !== null) this.cursors.set(number, { database, range, last: null });
    return number;
  }

  /** Closes a database and every cursor in it. */
  remove(number: number): void {
    this.databases.get(number)?.connection?.close();
    this.databases.delete(number);
    for (const [cursor, { database }] of this.cursors) {
      if (database === number) this.cursors.delete(cursor);
    }
  }

  capture(): KvState {
    return {
      databases: [...this.databases].map(([number, { grant, id }]) => {
        return { number, name: grant.name, id };
      }),
      cursors: [...this.cursors].map(([number, { database, range, last }]) => {
        return { number, database, ...range, last };
      }),
    };
  }

  /** Ends every connection; numbers and cursors stay. */
  release(): void {
    for (const one of this.databases.values()) {
      one.connection?.close();
      one.connection = null;
    }
  }

  /** Connects anew to what `state` says, as far as it is granted. Throws an Error in a user's words. */
  rebuild(state: KvState): void {
    this.close();
    for (const { number, name, id } of state.databases) {
      const grant = this.grantOf(name);
      if (grant === null) {
        throw new Error(
          `the database ${name} is not granted today: grant it with --kv ${name}=FILE`,
        );
      }
      const connection = new KvDatabase(grant.hostPath, grant.readOnly);
      this.databases.set(number, { grant, id, connection });
      if (Buffer.compare(connection.id, id) !== 0) {
        throw new Error(
          `${grant.hostPath} is another database than the guest had open as ${name}: put that one back`,
        );
      }
    }
    for (const { number, database, from, to, descending, last } of state.cursors) {
      this.cursors.set(number, { database, range: { from, to, descending }, last });
    }
  }

  close(): void {
    this.release();
    this.databases.clear();
    this.cursors.clear();
  }
}

function lowestFree(taken: ReadonlyMap<number, unknown>, max: number): number | null {
  for (let number = 1; number <= max; number++) if (!taken.has(number)) return number;
  return null;
}
