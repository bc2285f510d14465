/**
 * `writer-child FILE WRITER WAY`: changes pages of a pool until it is killed, in an order that a reader can
 * check, and prints the number of each step that it flushed.
 *
 * Step s of a writer: page s mod RING of its ring is filled with s; the page that all writers share counts
 * one more; its head page is filled with s. So a head of s means that the last steps up to s are there.
 */
import { writeSync } from 'node:fs';
import { grantOf, PoolGuest } from './pool-guest.ts';
import { fillWords, HEAD, RING, readWord, SHARED, WRITER_PAGES } from './writer-pages.ts';

const FLUSH_EVERY = 7;
const FRAMES = 8;
const [file, writer, way] = process.argv.slice(2) as [string, string, string];
const guest = new PoolGuest({ grants: [grantOf(file, { frames: FRAMES })] });
const pool = guest.opened('p', { window: way === 'window', slots: 4 });
const first = WRITER_PAGES * (Number(writer) + 1);

function change(page: number, word: (before: number) => number): void {
  const bytes = guest.pin(pool, page, 'write');
  fillWords(bytes, word(readWord(bytes)));
  if (guest.unpin(pool, page, true) !== 0) throw new Error(`page ${page} was refused`);
}

let step = guest.readWord(pool, first + HEAD);
for (;;) {
  step++;
  const now = step;
  change(first + 1 + (now % RING), () => now);
  change(SHARED, (before) => before + 1);
  change(first + HEAD, () => now);
  if (now % FLUSH_EVERY === 0 && guest.flush(pool) === 0) writeSync(1, `${now}\n`);
}
