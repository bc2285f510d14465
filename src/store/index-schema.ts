/**
 * The index's tables. `docs/format/vault.md` says what each column holds.
 *
 * A change here needs a new `INDEX_FORMAT`; `PRAGMA user_version` carries it. Chunks have row ids, so that
 * the chunks of one checkpoint lie side by side and counting references changes few pages.
 */
export const INDEX_FORMAT = 1;

/** "Stas": tells our database from any other. */
export const APPLICATION_ID = 0x53746173;

export const SCHEMA = `
CREATE TABLE vault (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  id BLOB NOT NULL,
  key_check BLOB NOT NULL,
  owners BLOB NOT NULL
) STRICT;
CREATE TABLE owners (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  wrapped_key BLOB NOT NULL,
  state BLOB NOT NULL
) STRICT;
CREATE TABLE packs (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  owner INTEGER NOT NULL,
  wrapped_key BLOB NOT NULL
) STRICT;
CREATE TABLE chunks (
  number INTEGER PRIMARY KEY,
  owner INTEGER NOT NULL,
  identity BLOB NOT NULL,
  pack INTEGER NOT NULL,
  offset_bytes INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  plain_bytes INTEGER NOT NULL,
  method INTEGER NOT NULL,
  refs INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunks_by_identity ON chunks (owner, identity);
CREATE INDEX chunks_by_pack ON chunks (pack);
CREATE TABLE checkpoints (
  id TEXT PRIMARY KEY,
  owner INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX checkpoints_by_sequence ON checkpoints (owner, sequence);
CREATE TABLE ledger (
  number INTEGER PRIMARY KEY,
  owner TEXT,
  record BLOB NOT NULL,
  mac BLOB NOT NULL
) STRICT;
CREATE INDEX ledger_by_owner ON ledger (owner, number);
CREATE TABLE freed_packs (name TEXT PRIMARY KEY) STRICT;
`;
