/**
 * Does one thing to a vault as a whole, again and again, until it is killed. Arguments: the root of the places, and
 * what: `collect`, `rotate`, `reencrypt` or `back up`.
 *
 * Writes a line before and after each time, at once. A backup goes to a directory of its own: `backing up N`, and
 * `backed up N` when it is there.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { open, placesIn } from './test-vault.ts';

const [root, what, first] = process.argv.slice(2) as [string, string, string];
const vault = await open(placesIn(root));
writeSync(1, 'opened\n');
for (let number = Number(first); ; number++) {
  if (what === 'collect')
    await vault.collect({ unusedBytesMax: () => 0, emptyTrash: number % 2 === 0 });
  else if (what === 'back up') {
    writeSync(1, `backing up ${number}\n`);
    await vault.backUp(join(root, `backup-${number}`));
  } else await vault.rotateKey({ reencrypt: what === 'reencrypt' });
  writeSync(1, `${what === 'back up' ? 'backed up' : 'done'} ${number}\n`);
  // Who never pauses would leave nothing to the other process.
  await pause(10);
}
