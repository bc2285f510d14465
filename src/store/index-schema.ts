/**
 * The index's tables. `docs/format/vault.md` says what each column holds.
 *
 * A change here is one more step at the end of `FORMATS`; `PRAGMA user_version` carries how many were taken.
 * A new index takes all of them, an older one those that it lacks, so the tables of both have one text,
 * which is what an opened index is held against.
 *
 * Chunks have row ids, so that the chunks of one checkpoint lie side by side and counting references
 * changes few pages.
 */

/** "Stas": tells our database from any other. */
export const APPLICATION_ID = 0x53746173;

const FORMAT_1 = `
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

/** What older packs hold is known from their chunks; a pack's end that no chunk lies in is not counted. */
const FORMAT_2 = `
ALTER TABLE vault ADD COLUMN ledger_keys BLOB;
ALTER TABLE vault ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checkpoints ADD COLUMN job BLOB;
ALTER TABLE checkpoints ADD COLUMN mark BLOB;
CREATE INDEX checkpoints_by_job ON checkpoints (owner, job);
ALTER TABLE packs ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE packs ADD COLUMN used_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE packs SET (bytes, used_bytes) =
  (SELECT coalesce(max(offset_bytes + stored_bytes), 0), coalesce(sum(stored_bytes), 0)
   FROM chunks WHERE chunks.pack = packs.number);
CREATE INDEX packs_by_owner ON packs (owner);
CREATE TABLE trash (
  name TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
INSERT INTO trash SELECT name, 0, 0 FROM freed_packs;
DROP TABLE freed_packs;
`;

/** The digests of an owner's checkpoints are made by whoever has the key, when the owner is next written. */
const FORMAT_3 = `
CREATE TABLE digests (
  owner INTEGER NOT NULL,
  tree BLOB NOT NULL,
  level INTEGER NOT NULL,
  place INTEGER NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX digests_by_place ON digests (owner, tree, level, place);
CREATE TABLE job_lists (
  owner INTEGER NOT NULL,
  job BLOB NOT NULL,
  height INTEGER NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX job_lists_by_job ON job_lists (owner, job);
DROP INDEX checkpoints_by_job;
CREATE INDEX checkpoints_by_job ON checkpoints (owner, job, sequence);
ALTER TABLE owners ADD COLUMN pack_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE owners ADD COLUMN used_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE owners SET (pack_bytes, used_bytes) =
  (SELECT coalesce(sum(bytes), 0), coalesce(sum(used_bytes), 0)
   FROM packs WHERE packs.owner = owners.number);
CREATE INDEX packs_wasteful ON packs (owner) WHERE used_bytes < bytes;
`;

/** What makes an index of format 1 out of nothing, one of format 2 out of format 1, and so on. */
export const FORMATS: readonly string[] = [FORMAT_1, FORMAT_2, FORMAT_3];

export const INDEX_FORMAT = FORMATS.length;
