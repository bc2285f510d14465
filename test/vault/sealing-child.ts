/**
 * Seals and removes checkpoints until it is killed. Arguments: the root of the places, the first seed.
 *
 * Writes a line before and after each step, `sealed ID`, `removing ID`, `removed ID`, at once, so that
 * whoever kills it knows what was acknowledged. A checkpoint's name is the seed of its image.
 */
import { writeSync } from 'node:fs';
import { ALICE, makeImage, open, placesIn, sealRequest } from './test-vault.ts';

const vault = await open(placesIn(process.argv[2]!));
const own: string[] = [];
for (let seed = Number(process.argv[3]); ; seed++) {
  const { id } = await vault.seal(sealRequest({ name: `${seed}`, ...makeImage(seed % 7, 12) }));
  writeSync(1, `sealed ${id}\n`);
  own.push(id);
  if (own.length < 4) continue;
  const oldest = own.shift()!;
  writeSync(1, `removing ${oldest}\n`);
  await vault.remove(ALICE, [oldest]);
  writeSync(1, `removed ${oldest}\n`);
}
