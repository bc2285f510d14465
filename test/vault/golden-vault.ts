/**
 * The vault that `golden/format-1` and the others keep, made again. To write the files of a new format, run this with
 * the directory to fill: `node test/vault/golden-vault.ts test/vault/golden/format-3`.
 *
 * Its pages are such as can't be compressed: what zstd makes of the others depends on its version.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Requester } from '../../src/vault/checkpoint-info.ts';
import {
  ALICE,
  BOB,
  makeImage,
  open,
  PAGE,
  type Places,
  placesIn,
  predictableBytes,
  sealRequest,
} from './test-vault.ts';

interface GoldenImage {
  readonly requester: Requester;
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
}

function goldenImage(requester: Requester, seed: number): GoldenImage {
  const { head, pages } = makeImage(seed, 2);
  return { requester, head, pages: pages.slice(PAGE) };
}

export const GOLDEN_IMAGES: Readonly<Record<string, GoldenImage>> = {
  first: goldenImage(ALICE, 1),
  second: goldenImage(ALICE, 2),
  /** The page of the first with another head: shared. */
  third: { ...goldenImage(ALICE, 3), pages: goldenImage(ALICE, 1).pages },
  fourth: goldenImage(BOB, 1),
};

/** Seals the four images, the clock standing still, and removes the second. */
export async function sealGolden(places: Places): Promise<void> {
  const vault = await open(places, {
    now: () => new Date('2026-11-23T12:00:00.000Z'),
    random: predictableBytes('golden'),
  });
  for (const [name, image] of Object.entries(GOLDEN_IMAGES)) {
    const { id } = await vault.seal(sealRequest({ ...image, name }));
    if (name === 'second') await vault.remove(ALICE, [id]);
  }
  await vault.close();
}

if (import.meta.main) {
  const target = process.argv[2]!;
  const places = placesIn(mkdtempSync(join(tmpdir(), 'stasis-golden-')));
  await sealGolden(places);
  cpSync(places.keyFile, join(target, 'master.key'));
  cpSync(join(places.directory, 'index.sqlite'), join(target, 'index.sqlite'));
  cpSync(join(places.directory, 'packs'), join(target, 'packs'), { recursive: true });
  rmSync(places.root, { recursive: true });
}
