import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Gives the statement for a text, prepared once. */
export type Prepare = (sql: string) => StatementSync;

export function statementCache(database: DatabaseSync): Prepare {
  const statements = new Map<string, StatementSync>();
  return (sql) => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
}
