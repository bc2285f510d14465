/**
 * Makes vaults at moments that it is told. Argument: a seed.
 *
 * Reads lines `MS DIRECTORY`: at that moment of the clock it makes the vault there (or opens the one that another
 * process was first to make) and seals a checkpoint, whose name is the seed, and writes the line `sealed ID`.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { makeImage, open, placesIn, sealRequest } from './test-vault.ts';

const seed = Number(process.argv[2]);
writeSync(1, 'ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const [moment, root] = line.split(' ') as [string, string];
  // A sleep would end too early or too late by more than what the race is about.
  while (Date.now() < Number(moment));
  const vault = await open(placesIn(root));
  const { id } = await vault.seal(sealRequest({ name: `${seed}`, ...makeImage(seed, 2) }));
  await vault.close();
  writeSync(1, `sealed ${id}\n`);
}
