/** A vault as a crash left it: put on the disk, opened, and everything that was promised looked for. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { nodeFiles } from '../../src/store/node-files.ts';
import { ALICE, BOB, makeImage, open, opensAs, placesIn } from '../vault/test-vault.ts';
import type { DiskState } from './crash-model.ts';
import { putDown } from './disk-image.ts';
import {
  BACKUP,
  type Expected,
  factsOf,
  placesBelow,
  RESTORED,
  type Recording,
  record,
  restoreBelow,
} from './recording.ts';

/** In memory where there is such a place: what is tried here is a model's disk, not this machine's. */
const ROOM = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export function scratchRoot(): string {
  return mkdtempSync(join(ROOM, 'stasis-faults-'));
}

/** Where two states are the same, one check is enough. */
export function digestOf(state: DiskState): string {
  const hash = createHash('sha256');
  for (const [path, content] of state) {
    hash.update(`${path}\0${content === null ? '/' : content.length}\0`).update(content ?? '');
  }
  return hash.digest('hex');
}

/**
 * Opens what is left and holds it against what was promised; `worksOn`: seals and removes there too. Gives
 * what the recovery did, so that it can be crashed as well.
 */
export async function checkSurvivor(
  state: DiskState,
  { images }: Pick<Recording, 'images'>,
  { kept, gone, facts, backedUp, isPutBack }: Expected,
  worksOn: boolean,
): Promise<Recording> {
  const root = scratchRoot();
  try {
    putDown(root, state);
    if (backedUp !== null) await checkBackup(root, BACKUP, backedUp, images);
    if (isPutBack) expect(state.get(join(RESTORED, 'index.sqlite'))?.length).toBeGreaterThan(0);
    if (backedUp !== null && state.get(dirname(RESTORED)) === null && wasRestoring(state)) {
      // Wherever the restore was cut off, doing it again ends it.
      if (!state.has(join(RESTORED, 'index.sqlite'))) await restoreBelow(root, nodeFiles);
      await checkBackup(root, RESTORED, backedUp, images);
    }
    return await record(root, async (recorder) => {
      let vault = await recorder.openVault();
      for (const requester of [ALICE, BOB]) {
        const wanted = [...kept].filter(([, name]) => images.get(name)!.requester === requester);
        const listed = await vault.list(requester);
        const ids = new Set(listed.map(({ id }) => id));
        expect(wanted.filter(([id]) => !ids.has(id))).toEqual([]);
        expect([...gone].filter((id) => ids.has(id))).toEqual([]);
        for (const info of listed) {
          // One that was not acknowledged may be there, and is whole then.
          expect(await opensAs(vault, requester, info, images.get(info.name)!)).toBe(true);
        }
      }
      await vault.verifyLedger();
      const said = await factsOf(vault);
      for (const [fact, value] of facts)
        expect([fact, said.get(fact) ?? 'none']).toEqual([fact, value]);
      if (!worksOn) return vault.close();
      const next = makeImage(99, 2);
      const id = await recorder.seal(vault, 'survived', next);
      await vault.close();
      vault = await recorder.openVault();
      expect(await opensAs(vault, ALICE, { id }, next)).toBe(true);
      await recorder.remove(vault, [id]);
      await vault.close();
      expect(leftOver(root)).toEqual([]);
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

function wasRestoring(state: DiskState): boolean {
  return state.has(RESTORED);
}

async function checkBackup(
  root: string,
  place: string,
  wanted: readonly string[],
  images: Recording['images'],
): Promise<void> {
  const places = { ...placesBelow(root), directory: join(root, place) };
  const vault = await open(places, { mode: 'existing' });
  const listed = [...(await vault.list(ALICE)), ...(await vault.list(BOB))];
  const ids = new Set(listed.map(({ id }) => id));
  expect(wanted.filter((id) => !ids.has(id))).toEqual([]);
  for (const info of listed) {
    const image = images.get(info.name)!;
    expect(await opensAs(vault, image.requester, info, image)).toBe(true);
  }
  await vault.verifyLedger();
  await vault.close();
}

/** Files that nobody would ever look for: packs that no table names, and names that mean nothing. */
function leftOver(root: string): string[] {
  const { directory } = placesIn(root);
  const index = new DatabaseSync(join(directory, 'index.sqlite'), { readOnly: true });
  const named = new Set(
    index
      .prepare('SELECT name FROM packs UNION SELECT name FROM trash')
      .all()
      .map((row) => row['name']),
  );
  index.close();
  const packs = readdirSync(join(directory, 'packs')).filter((name) => !named.has(name));
  const others = readdirSync(directory).filter(
    (name) => !/^(index\.sqlite(-wal|-shm)?|packs|writers)$/.test(name),
  );
  return [...packs, ...others, ...readdirSync(join(directory, 'writers'))];
}
