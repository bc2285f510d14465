/** What is done to a vault as a whole: verifying, backing up, measuring, shredding, and its ledger as a list. */
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { encodeImageHead } from '../../src/image/head.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import { restoreVault } from '../../src/vault/restore-vault.ts';
import { EXAMPLE_HEAD } from '../image/example-head.ts';
import { makePlaces } from './places.ts';
import {
  ALICE,
  BOB,
  makeImage,
  open,
  opensAs,
  PAGE,
  type Places,
  sealRequest,
} from './test-vault.ts';

/** An image whose head says truly which pages there are. */
function realImage(seed: number, pageCount: number) {
  const { pages } = makeImage(seed, pageCount);
  const memories = [{ sizePages: pageCount + 3, present: [[1, pageCount]] as const }];
  return { head: encodeImageHead({ ...EXAMPLE_HEAD, memories }), pages };
}

const HERS = realImage(1, 6);
const HIS = realImage(2, 6);

async function makeVault(places: Places) {
  const vault = await open(places);
  const hers = await vault.seal(sealRequest({ ...HERS, job: 'job-a', name: 'a' }));
  const second = await vault.seal(sealRequest({ ...realImage(3, 2), job: 'job-b', name: 'b' }));
  const his = await vault.seal(sealRequest({ ...HIS, requester: BOB, job: 'job-c', name: 'c' }));
  return { vault, hers, second, his };
}

/** Whose index somebody changed with SQL. */
async function makeChangedVault(change: string) {
  const places = makePlaces();
  const { vault } = await makeVault(places);
  const database = new DatabaseSync(join(places.directory, 'index.sqlite'));
  database.exec(change);
  database.close();
  return vault;
}

function firstPack({ directory }: Places): string {
  const packs = join(directory, 'packs');
  return join(packs, readdirSync(packs).sort()[0]!);
}

describe('verifying', () => {
  test('finds nothing in a vault that is in order, at every depth', async () => {
    const { vault } = await makeVault(makePlaces());
    expect(await vault.verify({ depth: 'structure' })).toMatchObject({
      owners: 2,
      checkpoints: 3,
      packs: 3,
      entries: 6,
      chunks: 0,
      findings: [],
    });
    const data = await vault.verify({ depth: 'data' });
    expect(data.findings).toEqual([]);
    expect(data.bytes).toBeGreaterThan(12 * PAGE);
    expect(await vault.verify({ depth: 'restore' })).toMatchObject({ images: 3, findings: [] });
    await vault.close();
  });

  test('names the owner and the checkpoint of what it finds, and goes on', async () => {
    const places = makePlaces();
    const { vault, hers } = await makeVault(places);
    const whole = readFileSync(firstPack(places));
    const changed = Buffer.from(whole);
    changed[100]! ^= 1;
    writeFileSync(firstPack(places), changed);
    expect((await vault.verify({ depth: 'structure' })).findings).toEqual([]);
    const { findings, images, bytes } = await vault.verify({ depth: 'restore' });
    expect(findings.map(({ owner, checkpoint }) => ({ owner, checkpoint }))).toEqual([
      { owner: 'uid:1000', checkpoint: hers.id },
      { owner: 'uid:1000', checkpoint: null },
    ]);
    expect(images).toBe(2);
    // All but the one that is damaged.
    expect(bytes).toBeGreaterThan(11 * PAGE);

    truncateSync(firstPack(places), whole.length - 1);
    const cut = await vault.verify({ depth: 'structure' });
    expect(cut.findings.length).toBeGreaterThan(0);
    expect(cut.findings[0]!.facts).toMatchObject({ bytes: whole.length - 1 });
    await vault.close();
  });

  test.each([
    ['chunks.refs too low', 'UPDATE chunks SET refs = 0 WHERE number = 1'],
    ['chunks.refs too high', 'UPDATE chunks SET refs = 7 WHERE number = 1'],
    ['packs.used_bytes', 'UPDATE packs SET used_bytes = 5 WHERE number = 1'],
    ['packs.bytes', 'UPDATE packs SET bytes = 5 WHERE number = 1'],
    ['a chunk more', `INSERT INTO chunks SELECT 99, 1, x'${'00'.repeat(32)}', 1, 0, 9, 9, 0, 1`],
  ])('finds what opening does not look at: %s', async (_, change) => {
    const vault = await makeChangedVault(change);
    const { findings } = await vault.verify({ depth: 'structure' });
    expect(findings.length).toBeGreaterThan(0);
    await vault.close();
  });
});

describe('counting anew', () => {
  test.each([
    ['chunks.refs', 'UPDATE chunks SET refs = refs + 3'],
    ['packs.used_bytes', 'UPDATE packs SET used_bytes = 5'],
    ['sums of owners', 'UPDATE owners SET pack_bytes = 1, used_bytes = 2'],
    ['a chunk more', `INSERT INTO chunks SELECT 99, 1, x'${'00'.repeat(32)}', 1, 0, 9, 9, 0, 1`],
  ])('mends %s, and only once', async (_, change) => {
    const vault = await makeChangedVault(change);
    expect((await vault.verify({ depth: 'structure' })).findings).not.toEqual([]);
    await vault.repairCounts();
    expect((await vault.verify({ depth: 'restore' })).findings).toEqual([]);
    expect(await vault.repairCounts()).toEqual({ chunks: 0, droppedChunks: 0, packs: 0 });
    await vault.close();
  });

  test('drops nothing of an owner with a damaged checkpoint', async () => {
    const places = makePlaces();
    const { vault } = await makeVault(places);
    const database = new DatabaseSync(join(places.directory, 'index.sqlite'));
    database.exec("UPDATE checkpoints SET record = x'00' WHERE rowid = 1");
    const chunks = 'SELECT count(*) AS count FROM chunks';
    const before = database.prepare(chunks).get();
    await expect(vault.repairCounts()).rejects.toMatchObject({ code: 'ERR_VAULT_DAMAGED' });
    expect(database.prepare(chunks).get()).toEqual(before);
    database.close();
    await vault.close();
  });
});

describe('a backup', () => {
  test('made beside a process that seals and removes opens as it was at one moment', async () => {
    const places = makePlaces();
    const { vault } = await makeVault(places);
    const other = await open(places);
    const backup = join(places.root, 'backup');
    let over = false;
    let rounds = 0;
    const busy = (async () => {
      const own: string[] = [];
      while (!over) {
        own.push((await other.seal(sealRequest(makeImage(10 + rounds++, 5)))).id);
        if (own.length > 2) await other.remove(ALICE, [own.shift()!]);
        await other.collect({ emptyTrash: true, unusedBytesMax: () => 0 });
      }
    })();
    for (let round = 0; round < 5; round++) {
      await vault.backUp(backup);
      const copy = await open({ ...places, directory: backup }, { mode: 'existing' });
      expect((await copy.verify({ depth: 'data' })).findings).toEqual([]);
      expect((await copy.list(ALICE)).length).toBeGreaterThan(1);
      await copy.close();
    }
    over = true;
    await busy;
    process.stdout.write(`5 backups beside ${rounds} seals\n`);
    expect(rounds).toBeGreaterThan(2);
    await Promise.all([vault.close(), other.close()]);
  });

  test('brought up to date copies only what is new, and drops what is gone', async () => {
    const places = makePlaces();
    const { vault, hers, second } = await makeVault(places);
    const backup = join(places.root, 'backup');
    expect(await vault.backUp(backup)).toMatchObject({ packs: 3, copiedPacks: 3 });
    expect(await vault.backUp(backup)).toMatchObject({ packs: 3, copiedPacks: 0 });
    await vault.seal(sealRequest(makeImage(9, 3)));
    await vault.remove(ALICE, [hers.id, second.id]);
    expect(await vault.backUp(backup)).toMatchObject({
      packs: 2,
      copiedPacks: 1,
      removedPacks: 2,
    });
    expect(statSync(join(backup, 'index.sqlite')).mode & 0o777).toBe(0o600);
    await vault.close();
  });

  test('ended after any operation leaves the backup before, and is ended by another', async () => {
    const places = makePlaces();
    const { vault, hers } = await makeVault(places);
    const backup = join(places.root, 'backup');
    await vault.backUp(backup);
    const before = (await vault.list(ALICE)).length;
    await vault.remove(ALICE, [hers.id]);
    await vault.seal(sealRequest(makeImage(9, 3)));
    await vault.seal(sealRequest(makeImage(10, 3)));
    await vault.close();
    let points = 0;
    for (let failAt = 0; ; failAt++) {
      let count = -1;
      const step = (): void => {
        if (count >= 0 && count++ >= failAt) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      };
      const names = ['makeDirectory', 'syncDirectory', 'rename', 'remove', 'create'] as const;
      const broken = Object.fromEntries(
        names.map((name) => [
          name,
          async (...paths: [string, string]) => {
            step();
            return (nodeFiles[name] as (...paths: string[]) => Promise<unknown>)(...paths);
          },
        ]),
      );
      const failing = await open(places, { files: { ...nodeFiles, ...broken } });
      count = 0;
      const failed = await failing.backUp(backup).then(
        () => false,
        () => true,
      );
      count = -1;
      await failing.close();
      const copy = await open({ ...places, directory: backup }, { mode: 'existing' });
      expect([before, before + 1]).toContain((await copy.list(ALICE)).length);
      expect((await copy.verify({ depth: 'structure' })).findings).toEqual([]);
      await copy.close();
      if (!failed) break;
      points++;
    }
    process.stdout.write(`backup: ended at ${points} points\n`);
    expect(points).toBeGreaterThan(8);
  });

  test('is put back where there is no vault, and nowhere else', async () => {
    const places = makePlaces();
    const { vault, hers, his } = await makeVault(places);
    const backup = join(places.root, 'backup');
    await vault.backUp(backup);
    await vault.close();
    const options = {
      key: { kind: 'file', path: places.keyFile } as const,
      now: () => new Date(),
      random: (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes)),
    };
    await expect(
      restoreVault({ ...options, directory: places.directory }, backup),
    ).rejects.toMatchObject({ code: 'ERR_STATE_ACCESS' });
    const directory = join(places.root, 'again');
    await expect(
      restoreVault({ ...options, directory }, join(places.root, 'none')),
    ).rejects.toMatchObject({ code: 'ERR_NO_SUCH_DIRECTORY' });
    expect(existsSync(directory)).toBe(false);
    expect(await restoreVault({ ...options, directory }, backup)).toMatchObject({ copiedPacks: 3 });
    const again = await open({ ...places, directory }, { mode: 'existing' });
    expect(await opensAs(again, ALICE, hers, HERS)).toBe(true);
    expect(await opensAs(again, BOB, his, HIS)).toBe(true);
    const { entries } = await again.audit({ event: 'restored from backup' });
    expect(entries).toHaveLength(1);
    await again.close();
  });

  test('is refused over another vault, and over one that is in use', async () => {
    const [places, strange] = [makePlaces(), makePlaces()];
    const { vault } = await makeVault(places);
    const other = await makeVault(strange);
    const before = readdirSync(join(strange.directory, 'packs'));
    await expect(vault.backUp(strange.directory)).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining('another vault'),
    });
    expect(readdirSync(join(strange.directory, 'packs'))).toEqual(before);
    const backup = join(places.root, 'backup');
    await vault.backUp(backup);
    const used = await open({ ...places, directory: backup });
    await used.seal(sealRequest(makeImage(9, 2)));
    await expect(vault.backUp(backup)).rejects.toMatchObject({ code: 'ERR_VAULT_BUSY' });
    await used.close();
    await vault.backUp(backup);
    await Promise.all([vault.close(), other.vault.close()]);
  });

  test('is refused within the vault, and where something else lies', async () => {
    const places = makePlaces();
    const { vault } = await makeVault(places);
    const usage = expect.objectContaining({ code: 'ERR_USAGE' });
    await expect(vault.backUp(join(places.directory, 'b'))).rejects.toEqual(usage);
    writeFileSync(join(places.root, 'letter'), 'dear');
    await expect(vault.backUp(places.root)).rejects.toEqual(usage);
    await vault.close();
  });
});

describe('shredding an owner', () => {
  test('leaves nothing of the key in any file, and the others as they were', async () => {
    const places = makePlaces();
    const { vault, his } = await makeVault(places);
    const database = new DatabaseSync(join(places.directory, 'index.sqlite'));
    const row = database
      .prepare("SELECT wrapped_key AS k FROM owners WHERE name = 'uid:1000'")
      .get();
    database.close();
    const needle = Buffer.from((row!['k'] as Uint8Array).slice(0, 24));
    const files = () =>
      readdirSync(places.directory, { recursive: true, encoding: 'utf8' })
        .map((name) => join(places.directory, name))
        .filter((path) => statSync(path).isFile());
    expect(files().filter((path) => readFileSync(path).includes(needle))).not.toEqual([]);
    expect(await vault.shredOwner('uid:1000')).toEqual({
      found: true,
      checkpoints: 2,
      packs: 2,
      scrubbed: true,
    });
    expect(files().filter((path) => readFileSync(path).includes(needle))).toEqual([]);
    expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(1);
    expect(await vault.list(ALICE)).toEqual([]);
    expect(await opensAs(vault, BOB, his, HIS)).toBe(true);
    expect((await vault.audit({ event: 'owner shredded' })).entries).toHaveLength(1);
    expect((await vault.verify({ depth: 'data' })).findings).toEqual([]);
    // The owner may come again, as somebody new.
    const { sequence, id } = await vault.seal(sealRequest(HERS));
    expect(sequence).toBe(1);
    expect(await opensAs(vault, ALICE, { id }, HERS)).toBe(true);
    expect(await vault.shredOwner('uid:7')).toMatchObject({ found: false });
    await vault.close();
  });

  test('a row of theirs that is put back is refused', async () => {
    const places = makePlaces();
    const { vault } = await makeVault(places);
    const database = new DatabaseSync(join(places.directory, 'index.sqlite'));
    const row = database.prepare("SELECT * FROM owners WHERE name = 'uid:1000'").get()!;
    await vault.shredOwner('uid:1000');
    database
      .prepare('INSERT INTO owners (number, name, wrapped_key, state) VALUES (?, ?, ?, ?)')
      .run(row['number']!, row['name']!, row['wrapped_key']!, row['state']!);
    database.close();
    await expect(vault.list(ALICE)).rejects.toMatchObject({ code: 'ERR_VAULT_DAMAGED' });
    await vault.close();
  });
});

test('the room that owners and jobs take adds up', async () => {
  const { vault, hers, second } = await makeVault(makePlaces());
  const { owners, trash } = await vault.usage();
  expect(trash).toEqual({ packs: 0, bytes: 0 });
  expect(owners.map(({ owner }) => owner).sort()).toEqual(['uid:1000', 'uid:1001']);
  const [own] = (await vault.usage('uid:1000')).owners;
  expect(own!.jobs.map(({ name, storedBytes }) => ({ name, storedBytes }))).toEqual([
    { name: 'a', storedBytes: hers.storedBytes },
    { name: 'b', storedBytes: second.storedBytes },
  ]);
  expect(own!.packBytes).toBe(hers.storedBytes + second.storedBytes);
  expect(own!.usedBytes).toBe(own!.packBytes);
  await vault.close();
});

test('the ledger is told by owner, event, job and time', async () => {
  const { vault, hers } = await makeVault(makePlaces());
  await vault.remove(ALICE, [hers.id]);
  const all = await vault.audit({});
  expect(all.entries.map(({ event }) => event)).toEqual([
    'vault created',
    'owner added',
    'sealed',
    'sealed',
    'owner added',
    'sealed',
    'removed',
  ]);
  expect(all.head).toMatchObject({ entries: 7 });
  expect((await vault.audit({ owner: 'uid:1001' })).entries).toHaveLength(2);
  const ofJob = await vault.audit({ owner: 'uid:1000', job: 'job-a' });
  expect(ofJob.entries.map(({ event }) => event)).toEqual(['sealed', 'removed']);
  expect(ofJob.head).toEqual(all.head);
  expect((await vault.audit({ since: new Date(Date.now() + 60_000) })).entries).toEqual([]);
  await vault.close();
});

describe('quotas', () => {
  test('on checkpoints and bytes are refused by name, and leave everything as it was', async () => {
    const places = makePlaces();
    const { vault, hers } = await makeVault(places);
    const before = readdirSync(join(places.directory, 'packs')).length;
    await expect(
      vault.seal(sealRequest({ ...makeImage(9, 3), caps: { checkpoints: 2, vaultBytes: null } })),
    ).rejects.toMatchObject({
      code: 'ERR_QUOTA',
      facts: { cap: 'checkpoints', allowed: 2, used: 2, asked: 1 },
    });
    const [own] = (await vault.usage('uid:1000')).owners;
    const caps = { vaultBytes: own!.packBytes + PAGE, checkpoints: null };
    await expect(vault.seal(sealRequest({ ...makeImage(9, 6), caps }))).rejects.toMatchObject({
      code: 'ERR_QUOTA',
      facts: { cap: 'vaultBytes', allowed: caps.vaultBytes, used: own!.packBytes },
    });
    expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(before);
    // What is there already needs no room; another owner has caps of his own.
    await vault.seal(sealRequest({ ...HERS, caps }));
    await vault.seal(
      sealRequest({ ...makeImage(9, 6), requester: BOB, caps: { ...caps, vaultBytes: null } }),
    );
    expect(await opensAs(vault, ALICE, hers, HERS)).toBe(true);
    await vault.close();
  });
});
