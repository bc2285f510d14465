/** `confined-guest FILE SECRET`: uses a pool under the permissions of a cell, and says how that went. */
import { readFileSync } from 'node:fs';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import { grantOf, PoolGuest, restarted } from './pool-guest.ts';

const [file, secret] = process.argv.slice(2) as [string, string];
const grants = [grantOf(file)];
const guest = new PoolGuest({ grants });
const opened = guest.open('p');
if (opened === 0) for (let page = 0; page < 40; page++) guest.writeWord(0, page, page);
guest.pin(0, 7);
const again = await restarted(guest, grants);
const words = [7, 39].map((page) => again.readWord(0, page));
again.end();
let denied: unknown = null;
try {
  readFileSync(secret);
} catch (error) {
  denied = (error as { code?: unknown }).code;
}
console.log(JSON.stringify({ calls: poolCalls() !== null, opened, words, denied }));
