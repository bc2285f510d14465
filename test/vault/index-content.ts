/** Everything that an index in SQLite can answer with, as one digest. */
import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';

/** What decides how the rest is read. */
const SETTINGS = ['application_id', 'user_version', 'encoding', 'page_size', 'auto_vacuum'];

/**
 * A digest of the schema, of the settings and of every row of every table; null where SQLite finds anything amiss. Its
 * integrity check holds each entry of each index against the tables, and all tables' pages against each other. So
 * where the digest is the same, every question has the same answer, whichever way SQLite takes to it.
 *
 * `alone`: no log is read, and none is made.
 */
export function indexContent(path: string, { alone }: { readonly alone: boolean }): string | null {
  let database: DatabaseSync | null = null;
  try {
    const url = pathToFileURL(path);
    if (alone) url.searchParams.set('immutable', '1');
    const opened = new DatabaseSync(url, { readOnly: true });
    database = opened;
    opened.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;');
    const all = (sql: string): unknown[][] => {
      const statement = opened.prepare(sql);
      statement.setReturnArrays(true);
      return statement.all() as unknown as unknown[][];
    };
    if (String(all('PRAGMA integrity_check(1)')[0]) !== 'ok') return null;
    const schema = all('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name');
    const tables = schema.filter(([type]) => type === 'table').map(([, name]) => name);
    const content = [
      SETTINGS.map((name) => all(`PRAGMA ${name}`)),
      schema,
      tables.map((name) => all(`SELECT rowid, * FROM "${name}" NOT INDEXED`)),
    ];
    return createHash('sha256').update(JSON.stringify(content, withBytes)).digest('hex');
  } catch (error) {
    if (error instanceof Error && 'errcode' in error) return null;
    throw error;
  } finally {
    database?.close();
  }
}

function withBytes(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('hex') } : value;
}
