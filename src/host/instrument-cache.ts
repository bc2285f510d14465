/**
 * Instrumented modules, kept by the digest of the module and the version of the instrumenter.
 *
 * An entry is a file:
 *
 *   offset  size  what
 *   0       8     "STASISIC"
 *   8       4     u32 little-endian: layout, 2
 *   12      4     u32 little-endian: bytes of the plan, p
 *   16      32    SHA-256 of the instrumented module
 *   48      32    SHA-256 of bytes 0 to 48 and everything from 80 on
 *   80      p     plan
 *   80+p    …     instrumented module
 *
 * Invariants:
 * 1. An entry is whole or absent; a damaged one counts as absent and is made again.
 * 2. Nothing depends on the cache: any file in it may vanish at any time.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { writeWholeFile } from './atomic-file.ts';
import type { Places } from './places.ts';

const MAGIC = Buffer.from('STASISIC', 'latin1');
const LAYOUT = 2;
const HEADER_BYTES = 80;
const MODULE_DIGEST_AT = 16;
const DIGEST_AT = 48;
const CACHE_BYTES_MAX = 512 * 2 ** 20;

export interface Instrumented {
  readonly bytes: Uint8Array;
  readonly plan: Uint8Array;
}

export interface CachedInstrumented extends Instrumented {
  /** Hex SHA-256 of the instrumented module. */
  readonly digest: string;
}

export interface InstrumentKey {
  readonly module: string;
  readonly instrumenter: string;
}

function entryPath(places: Places, key: InstrumentKey): string {
  return join(places.cache, `${key.module}-${key.instrumenter}`);
}

/** The entry, or null. Marks it as used at `now`. */
export function findInstrumented(
  places: Places,
  key: InstrumentKey,
  now: () => Date,
): CachedInstrumented | null {
  const path = entryPath(places, key);
  let file: Buffer;
  try {
    file = readFileSync(path);
    utimesSync(path, now(), now());
  } catch {
    return null;
  }
  if (file.length < HEADER_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const planBytes = file.readUInt32LE(12);
  const body = file.subarray(HEADER_BYTES);
  const digest = file.subarray(DIGEST_AT, HEADER_BYTES);
  if (file.readUInt32LE(8) !== LAYOUT || planBytes > body.length) return null;
  if (!digestOf(file.subarray(0, DIGEST_AT), [body]).equals(digest)) return null;
  return {
    plan: body.subarray(0, planBytes),
    bytes: body.subarray(planBytes),
    digest: file.toString('hex', MODULE_DIGEST_AT, DIGEST_AT),
  };
}

function digestOf(head: Uint8Array, body: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256').update(head);
  for (const part of body) hash.update(part);
  return hash.digest();
}

/** What an entry says of its module's digest, without reading the module; null without an entry. */
export function instrumentedDigest(places: Places, key: InstrumentKey): string | null {
  const header = Buffer.alloc(HEADER_BYTES);
  let fd: number;
  try {
    fd = openSync(entryPath(places, key), 'r');
  } catch {
    return null;
  }
  try {
    if (readSync(fd, header) < HEADER_BYTES) return null;
  } finally {
    closeSync(fd);
  }
  const isOurs =
    header.subarray(0, MAGIC.length).equals(MAGIC) && header.readUInt32LE(8) === LAYOUT;
  return isOurs ? header.toString('hex', MODULE_DIGEST_AT, DIGEST_AT) : null;
}

/**
 * Keeps an entry as far as there is room; a cache that can't be written is only slower. Gives the hex
 * SHA-256 of the instrumented module.
 */
export function keepInstrumented(places: Places, key: InstrumentKey, made: Instrumented): string {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(LAYOUT, 8);
  header.writeUInt32LE(made.plan.length, 12);
  const digest = createHash('sha256').update(made.bytes).digest();
  digest.copy(header, MODULE_DIGEST_AT);
  digestOf(header.subarray(0, DIGEST_AT), [made.plan, made.bytes]).copy(header, DIGEST_AT);
  const path = entryPath(places, key);
  try {
    writeWholeFile(path, `${path}.${process.pid}`, [header, made.plan, made.bytes]);
    shrink(places);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
  }
  return digest.toString('hex');
}

/** Removes the entries that were used longest ago, until the rest fit. */
function shrink(places: Places): void {
  const entries: { path: string; size: number; usedMs: number }[] = [];
  for (const name of readdirSync(places.cache)) {
    const path = join(places.cache, name);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isFile()) entries.push({ path, size: found.size, usedMs: found.mtimeMs });
  }
  let total = entries.reduce((sum, { size }) => sum + size, 0);
  entries.sort((a, b) => a.usedMs - b.usedMs);
  for (const { path, size } of entries) {
    if (total <= CACHE_BYTES_MAX) return;
    rmSync(path, { force: true });
    total -= size;
  }
}
