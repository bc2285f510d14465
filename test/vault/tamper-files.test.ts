/**
 * The files of a small vault as they lie on the disk, changed bit by bit and cut at any length. What comes of it is
 * a refusal by name, or exactly what was sealed where the bit means nothing; never another image, never a checkpoint
 * that is silently missing. SQLite's log is the exception that the format's page names: a damaged record ends it,
 * which looks like an earlier vault.
 *
 * Most bits of an index lie where nothing is. Where everything that the index can answer with is as it was
 * (`index-content.ts`), so is what the vault says, and the vault is not asked each time, only every so often.
 */
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import type { CheckpointInfo, Requester } from '../../src/vault/checkpoint-info.ts';
import { seededRandom } from '../cbor/random-value.ts';
import { scratchRoot } from '../faults/survivor.ts';
import { indexContent } from './index-content.ts';
import {
  ALICE,
  BOB,
  makeImage,
  open,
  opensAs,
  PAGE,
  type Places,
  placesIn,
  sealRequest,
} from './test-vault.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const SEED = Number(process.env['STASIS_SEED'] ?? 1);
/** At night every bit of the index, and some 400,000 of its log's, whose every part has a check sum of SQLite's. */
const FLIPS = NIGHTLY
  ? { index: Number.POSITIVE_INFINITY, log: 400_000 }
  : { index: 1000, log: 1000 };
/** The vault itself is asked at least this often where the index answers as another did. */
const ASKED_ANYWAY = NIGHTLY ? 2000 : 50;
const AT_ONCE = 20;
/** The first page begins with how all the others are read. */
const HEADER_BYTES = 100;
const CUTS = NIGHTLY ? 20_000 : 150;

const REFUSALS = new Set([
  'ERR_VAULT_DAMAGED',
  'ERR_VAULT_KEY',
  'ERR_VAULT_VERSION',
  'ERR_OWNER_MISMATCH',
]);

interface Sealed {
  readonly requester: Requester;
  readonly info: CheckpointInfo;
  readonly image: { readonly head: Uint8Array; readonly pages: Uint8Array };
}

interface Reference {
  readonly root: string;
  readonly sealed: readonly Sealed[];
}

let room = '';
let closed: Reference;
/** As a process leaves it that was killed: all of it in SQLite's log. */
let killed: Reference;

beforeAll(async () => {
  room = scratchRoot();
  closed = await makeReference('closed', true);
  killed = await makeReference('killed', false);
});
afterAll(() => rmSync(room, { recursive: true }));

async function makeReference(name: string, isClosed: boolean): Promise<Reference> {
  const live = join(room, `${name}-live`);
  mkdirSync(live);
  const places = placesIn(live);
  const vault = await open(places);
  const sealed: Sealed[] = [];
  for (const [index, requester] of [ALICE, ALICE, BOB].entries()) {
    const image = { head: makeImage(index, 0).head, pages: new Uint8Array(PAGE).fill(index + 1) };
    sealed.push({ requester, image, info: await vault.seal(sealRequest({ requester, ...image })) });
  }
  if (isClosed) await vault.close();
  const root = join(room, name);
  cpSync(live, root, { recursive: true });
  if (!isClosed) await vault.close();
  rmSync(join(placesIn(root).directory, 'index.sqlite-shm'), { force: true });
  return { root, sealed };
}

type Outcome = 'refused' | 'meaningless' | 'earlier';

/** Opens the vault and uses all that is in it. Anything but the three outcomes throws. */
async function outcomeOf({
  root,
  sealed,
}: Reference): Promise<{ outcome: Outcome; codes: string[] }> {
  const codes: string[] = [];
  let missing = 0;
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof HostError) || !REFUSALS.has(error.code)) throw error;
      codes.push(error.code);
    }
  };
  await attempt(async () => {
    const vault = await open(placesIn(root), { mode: 'existing' });
    try {
      for (const requester of [ALICE, BOB]) {
        await attempt(async () => {
          const own = sealed.filter((one) => one.requester === requester);
          const listed = await vault.list(requester);
          // Newest first: what there is, is a past of it.
          const past = own
            .map(({ info }) => info)
            .slice(0, listed.length)
            .toReversed();
          expect(listed).toEqual(past);
          missing += own.length - listed.length;
          for (const info of listed) {
            const { image } = own.find((one) => one.info.id === info.id)!;
            await attempt(async () =>
              expect(await opensAs(vault, requester, info, image)).toBe(true),
            );
          }
        });
      }
      await attempt(() => vault.verifyLedger());
    } finally {
      await vault.close();
    }
  });
  return { outcome: codes.length > 0 ? 'refused' : missing > 0 ? 'earlier' : 'meaningless', codes };
}

/** Does `change` to one file of a copy of the vault. */
async function tamper(
  reference: Reference,
  file: (places: Places) => string,
  change: (content: Buffer) => Buffer,
): Promise<{ outcome: Outcome; codes: string[] }> {
  const root = mkdtempSync(join(room, 'copy-'));
  try {
    cpSync(reference.root, root, { recursive: true });
    const path = file(placesIn(root));
    writeFileSync(path, change(readFileSync(path)));
    return await outcomeOf({ ...reference, root });
  } finally {
    rmSync(root, { recursive: true });
  }
}

const inVault = (name: string) => (places: Places) => join(places.directory, name);
const sizeOf = (reference: Reference, file: (places: Places) => string): number =>
  readFileSync(file(placesIn(reference.root))).length;

function flipped(bit: number): (content: Buffer) => Buffer {
  return (content) => {
    content[bit >> 3]! ^= 1 << (bit & 7);
    return content;
  };
}

/** What the index answers with while that bit of a file of the vault's is flipped; null when SQLite finds it amiss. */
function contentWith(
  { root }: Reference,
  file: (places: Places) => string,
  bit: number,
): string | null {
  const index = inVault('index.sqlite')(placesIn(root));
  const path = file(placesIn(root));
  const isLog = path !== index;
  const fd = openSync(path, 'r+');
  const flip = (): void => {
    const byte = new Uint8Array(1);
    readSync(fd, byte, 0, 1, bit >> 3);
    byte[0]! ^= 1 << (bit & 7);
    writeSync(fd, byte, 0, 1, bit >> 3);
  };
  flip();
  const content = indexContent(index, { alone: !isLog });
  flip();
  closeSync(fd);
  // SQLite makes it anew from the log.
  if (isLog) rmSync(`${index}-shm`, { force: true });
  return content;
}

/** All of `limit` numbers when they are few enough, else so many of them at random. */
function sample(limit: number, count: number): readonly number[] {
  if (limit <= count) return Array.from({ length: limit }, (_, at) => at);
  const random = seededRandom(SEED);
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(Math.floor(random() * limit));
  return [...chosen];
}

describe.each([
  ['index.sqlite', () => closed, ['refused', 'meaningless']],
  ['index.sqlite-wal', () => killed, ['refused', 'meaningless', 'earlier']],
] as const)('%s', (name, reference, allowed) => {
  const file = inVault(name);

  test('flipped bits', async () => {
    const bits = sizeOf(reference(), file) * 8;
    // Bit by bit whatever the sample is: how the file is read hangs on few of them.
    const header = sample(HEADER_BYTES * 8, bits);
    const some = sample(bits, name === 'index.sqlite' ? FLIPS.index : FLIPS.log);
    const tried = name === 'index.sqlite' ? [...new Set([...header, ...some])] : some;
    const counts: Record<Outcome, number> = { refused: 0, meaningless: 0, earlier: 0 };
    // By what the index answers with: what the vault says then.
    const known = new Map<string, Outcome>();
    let asked = 0;
    const index = inVault('index.sqlite')(placesIn(reference().root));
    const asSealed = indexContent(index, { alone: name === 'index.sqlite' });
    expect(asSealed).not.toBeNull();
    rmSync(`${index}-shm`, { force: true });
    for (const [at, bit] of tried.entries()) {
      const content = contentWith(reference(), file, bit);
      let outcome = content === null || bit < HEADER_BYTES * 8 ? undefined : known.get(content);
      if (outcome === undefined || at % Math.ceil(tried.length / ASKED_ANYWAY) === 0) {
        const said = await tamper(reference(), file, flipped(bit));
        if (outcome !== undefined) expect(said.outcome, `bit ${bit}`).toBe(outcome);
        if (content === asSealed) expect(said.outcome, `bit ${bit}`).toBe('meaningless');
        outcome = said.outcome;
        asked++;
        if (content !== null) known.set(content, outcome);
      }
      expect(allowed, `bit ${bit}`).toContain(outcome);
      counts[outcome]++;
    }
    console.log(
      `${name}: seed ${SEED}, ${tried.length} of ${bits} bits flipped, ${asked} of them asked of the vault: ` +
        JSON.stringify(counts),
    );
    expect(counts.refused + counts.earlier).toBeGreaterThan(tried.length / 20);
    expect(asked).toBeGreaterThanOrEqual(Math.min(tried.length, ASKED_ANYWAY));
  });

  test('cut at any length', async () => {
    const bytes = sizeOf(reference(), file);
    const tried = sample(bytes, CUTS);
    const counts: Record<Outcome, number> = { refused: 0, meaningless: 0, earlier: 0 };
    for (const length of tried) {
      const { outcome } = await tamper(reference(), file, (content) => content.subarray(0, length));
      expect(allowed, `${length} bytes`).toContain(outcome);
      counts[outcome]++;
    }
    console.log(
      `${name}: seed ${SEED}, ${tried.length} of ${bytes} lengths: ${JSON.stringify(counts)}`,
    );
    expect(counts.refused + counts.earlier).toBeGreaterThan(0);
  });

  test('garbage after the end', async () => {
    const { outcome } = await tamper(reference(), file, (content) =>
      Buffer.concat([content, Buffer.alloc(5000, 0xa5)]),
    );
    expect(['meaningless', 'refused']).toContain(outcome);
  });
});

test('every bit of the key file, and every length', async () => {
  const file = (places: Places): string => places.keyFile;
  const bytes = sizeOf(closed, file);
  const bits = Array.from({ length: bytes * 8 }, (_, bit) => bit);
  const lengths = Array.from({ length: bytes }, (_, length) => length);
  let tried = 0;
  const refused = async (what: string, change: (content: Buffer) => Buffer): Promise<void> => {
    const { codes } = await tamper(closed, file, change);
    expect(codes, what).toEqual(['ERR_VAULT_KEY']);
    tried++;
  };
  // Who finds that a key does not fit waits a little and looks again.
  for (let from = 0; from < bits.length; from += AT_ONCE) {
    const some = bits.slice(from, from + AT_ONCE);
    await Promise.all(some.map((bit) => refused(`bit ${bit}`, flipped(bit))));
  }
  for (const length of lengths) {
    await refused(`${length} bytes`, (content) => content.subarray(0, length));
  }
  console.log(`key file: ${tried} changes, all refused`);
  expect(tried).toBe(bytes * 9);
});

test('files that go missing', async () => {
  const gone = async (remove: (places: Places) => void): Promise<string[]> => {
    const root = mkdtempSync(join(room, 'copy-'));
    cpSync(closed.root, root, { recursive: true });
    remove(placesIn(root));
    const { codes } = await outcomeOf({ ...closed, root });
    rmSync(root, { recursive: true });
    return [...new Set(codes)];
  };
  expect(await gone(({ keyFile }) => rmSync(keyFile))).toEqual(['ERR_VAULT_KEY']);
  expect(await gone(({ directory }) => rmSync(join(directory, 'index.sqlite')))).toEqual([
    'ERR_VAULT_DAMAGED',
  ]);
  for (const pack of readdirSync(join(placesIn(closed.root).directory, 'packs'))) {
    expect(await gone(({ directory }) => rmSync(join(directory, 'packs', pack)))).toEqual([
      'ERR_VAULT_DAMAGED',
    ]);
  }
});
