/**
 * Errors of the system at every operation of everything that a vault does, SQLite's operations among them: the
 * work fails with a code that says so or succeeds in spite of it, loses nothing, and the vault works on. A power cut
 * afterwards, which may lose what a failed sync left in doubt, loses nothing that was acknowledged either.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ClaimRequest } from '../../src/vault/use.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { ALICE, BOB, makeImage, opensAs } from '../vault/test-vault.ts';
import { crashEverywhere } from './crash-points.ts';
import { FAULT_PLANS, type FaultPlan, faultEverywhere, type Met } from './fault-everywhere.ts';
import { oneFault } from './faults-on-copies.ts';
import { HARMLESS_ANYWHERE, type Harmless, judge } from './judge.ts';
import { type Recorder, record } from './recording.ts';
import { scratchRoot } from './survivor.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const CUTS_A_DAY = 6;
const KEPT = makeImage(1, 2);
const IMAGE = { ...makeImage(2, 1), pages: makeImage(2, 2).pages };

const HARMLESS: Harmless = [
  ...HARMLESS_ANYWHERE,
  [
    /removing: port (list|look|syncDirectory) vault\/(packs|writers)/,
    'it is removed by then, and the next sweep empties the trash',
  ],
  [
    /removing: sqlite \w+ .*index\.sqlite(-wal)?$/,
    "the sweep's own rows; a removal that is told is looked for afterwards all the same",
  ],
  [/removing: sqlite /, 'the rows were gone by then; the next sweep deletes the pack'],
  [
    /(changing keys|shredding): sqlite (read .*-wal|(write|sync) .*sqlite)$/,
    'the log is moved into the index by a later commit, from its beginning',
  ],
  [/closing: sqlite .*index\.sqlite(-wal)?$/, "SQLite's log stays, and says it all"],
];

let points = 0;
let outcomes = 0;

describe.each(FAULT_PLANS)('$name', (plan) => {
  test('at any operation of a seal', () =>
    withVault('a seal', plan, ({ recorder, vault, kept }) => {
      let sealed: string | null = null;
      return faultEverywhere(
        recorder,
        plan,
        async (round) => {
          sealed = null;
          sealed = await recorder.seal(vault, `${plan.name} ${round}`, IMAGE);
        },
        async () => {
          const ids = (await vault.list(ALICE)).map(({ id }) => id);
          expect(ids).toEqual(sealed === null ? [kept] : [sealed, kept]);
          if (sealed !== null) await recorder.remove(vault, [sealed]);
        },
      );
    }));

  test('at any operation of a removal', () =>
    withVault('a removal', plan, async ({ recorder, vault, kept }) => {
      let doomed = await recorder.seal(vault, 'doomed', IMAGE);
      return faultEverywhere(
        recorder,
        plan,
        () => recorder.remove(vault, [doomed]),
        async (met, round) => {
          const ids = (await vault.list(ALICE)).map(({ id }) => id);
          expect(ids).toEqual(met?.error == null ? [kept] : [doomed, kept]);
          if (met?.error == null) doomed = await recorder.seal(vault, `doomed ${round}`, IMAGE);
        },
      );
    }));

  test('at any operation of reading an image', () =>
    withVault('reading', plan, ({ recorder, vault, kept }) =>
      faultEverywhere(
        recorder,
        plan,
        async () => expect(await opensAs(vault, ALICE, { id: kept }, KEPT)).toBe(true),
        async () => undefined,
      ),
    ));

  test('at any operation of opening, sealing and closing', () =>
    withVault('opening, sealing and closing', plan, async ({ recorder, kept, shut }) => {
      // Whoever closes a vault last empties SQLite's log, and finds it empty when it opens the vault.
      await shut();
      let sealed: string | null = null;
      return faultEverywhere(
        recorder,
        plan,
        async (round) => {
          sealed = null;
          const vault = await recorder.openVault();
          try {
            sealed = await recorder.seal(vault, `${plan.name} ${round}`, IMAGE);
          } finally {
            await recorder.closeVault(vault);
          }
        },
        async (met) => {
          const again = await recorder.openVault();
          const ids = (await again.list(ALICE)).map(({ id }) => id);
          expect(ids).toContain(kept);
          if (sealed !== null) expect(ids).toContain(sealed);
          // It was said then that the commit may have taken place: opened again, the vault has it or not.
          const mayBeThere = sealed !== null || met?.error?.facts['outcome'] === 'unknown';
          expect(ids.length).toBeLessThanOrEqual(mayBeThere ? 2 : 1);
          const others = ids.filter((id) => id !== kept);
          for (const id of others) expect(await opensAs(again, ALICE, { id }, IMAGE)).toBe(true);
          if (others.length > 0) await recorder.remove(again, others);
          await recorder.closeVault(again);
        },
      );
    }));
});

/** What is done to a vault as a whole takes many operations. */
describe.each(NIGHTLY ? FAULT_PLANS : FAULT_PLANS.slice(0, 1))('$name', (plan) => {
  test('at any operation of collecting', () =>
    withVault('collecting', plan, async ({ recorder, vault, kept }) => {
      const spoil = async (round: number): Promise<void> => {
        const big = await recorder.seal(vault, `big ${round}`, makeImage(3 + round, 2));
        const part = { head: IMAGE.head, pages: makeImage(3 + round, 1).pages };
        const small = await recorder.seal(vault, `small ${round}`, part);
        await recorder.remove(vault, [big]);
        rest = [small];
      };
      let last = 0;
      let rest: string[] = [];
      await spoil(0);
      return faultEverywhere(
        recorder,
        plan,
        () => {
          recorder.phase = 'collecting';
          return vault.collect({ unusedBytesMax: () => 0 });
        },
        async (met, round) => {
          const ids = (await vault.list(ALICE)).map(({ id }) => id);
          expect(ids).toEqual([...rest, kept]);
          const small = { head: IMAGE.head, pages: makeImage(3 + last, 1).pages };
          for (const id of rest) expect(await opensAs(vault, ALICE, { id }, small)).toBe(true);
          if (met?.error != null) return;
          await recorder.remove(vault, rest);
          last = round + 1;
          await spoil(last);
        },
      );
    }));

  // Changing all of them begins with changing the master key.
  test.each(NIGHTLY ? [false, true] : [true])(
    'at any operation of changing keys, all of them: %s',
    (reencrypt) =>
      withVault('changing keys', plan, ({ recorder, vault, kept }) =>
        faultEverywhere(
          recorder,
          plan,
          () => {
            recorder.phase = 'changing keys';
            return vault.rotateKey({ reencrypt });
          },
          async () => {
            expect(await opensAs(vault, ALICE, { id: kept }, KEPT)).toBe(true);
            // Whoever opens the vault now does what was left to do.
            const again = await recorder.openVault();
            await again.resumeReencryption();
            expect(await opensAs(again, ALICE, { id: kept }, KEPT)).toBe(true);
            await recorder.closeVault(again);
          },
        ),
      ),
  );
});

const USE: ClaimRequest = { job: 'job-1', run: 2, how: 'once', fateOf: () => 'running' };

/** What else is written, each in turns with what takes it back. */
describe.each(NIGHTLY ? FAULT_PLANS : FAULT_PLANS.slice(0, 1))('$name', (plan) => {
  test('at any operation of claims and operators', () =>
    withVault('claims and operators', plan, async ({ recorder, vault, kept }) => {
      let [isClaimed, isGranted] = [false, false];
      return faultEverywhere(
        recorder,
        plan,
        async () => {
          recorder.phase = 'claiming';
          await (isClaimed ? vault.settle(ALICE, kept, USE, false) : vault.claim(ALICE, kept, USE));
          isClaimed = !isClaimed;
          await (isGranted ? vault.revoke(ALICE, BOB.owner) : vault.grant(ALICE, BOB.owner));
          isGranted = !isGranted;
        },
        async () => {
          expect(await vault.use(ALICE, kept)).toEqual(
            isClaimed ? { state: 'claimed', job: 'job-1', run: 2 } : null,
          );
          expect(await vault.operators(ALICE)).toEqual(isGranted ? [BOB.owner] : []);
        },
      );
    }));

  test('at any operation of backing up', () =>
    withVault('backing up', plan, async ({ recorder, vault, kept }) => {
      await recorder.backUp(vault);
      let next = await recorder.seal(vault, 'next', IMAGE);
      return faultEverywhere(
        recorder,
        plan,
        () => recorder.backUp(vault),
        async (met, round) => {
          expect((await vault.list(ALICE)).map(({ id }) => id)).toEqual([next, kept]);
          // Of two moments: of the one before, or of this one; either way whole.
          await checkBackup(recorder, (ids) => {
            expect(ids).toContain(kept);
            if (met?.error == null) expect(ids).toContain(next);
          });
          if (met?.error != null) return;
          await recorder.remove(vault, [next]);
          next = await recorder.seal(vault, `next ${round}`, IMAGE);
        },
      );
    }));

  test('at any operation of shredding an owner', () =>
    withVault('shredding', plan, async ({ recorder, vault, kept }) => {
      let doomed = await recorder.seal(vault, 'doomed', IMAGE, BOB);
      return faultEverywhere(
        recorder,
        plan,
        () => recorder.shred(vault, BOB),
        async (met, round) => {
          expect((await vault.list(ALICE)).map(({ id }) => id)).toEqual([kept]);
          const left = (await vault.list(BOB)).map(({ id }) => id);
          // Gone or not: but what was told to be gone is, and what is there is whole.
          expect(met?.error == null ? [] : [doomed]).toEqual(expect.arrayContaining(left));
          if (left.length > 0) expect(await opensAs(vault, BOB, { id: doomed }, IMAGE)).toBe(true);
          else doomed = await recorder.seal(vault, `doomed ${round}`, IMAGE, BOB);
        },
      );
    }));
});

async function checkBackup(recorder: Recorder, check: (ids: string[]) => void): Promise<void> {
  const backup = await recorder.openBackup();
  const listed = await backup.list(ALICE);
  check(listed.map(({ id }) => id));
  for (const info of listed) {
    expect(await opensAs(backup, ALICE, info, recorder.images.get(info.name)!)).toBe(true);
  }
  await backup.close();
}

/** Making one takes many operations, and a directory of its own for each. */
describe.each(NIGHTLY ? FAULT_PLANS : FAULT_PLANS.slice(0, 1))('$name', (plan) => {
  test('at any operation of making a vault', async () => {
    const root = scratchRoot();
    onTestFinished(() => rmSync(root, { recursive: true }));
    // A root of its own for each attempt: a vault is made only once.
    for (let round = 0; ; round++) {
      const place = join(root, `${round}`);
      mkdirSync(place);
      let met: readonly Met[] = [];
      await record(place, async (recorder) => {
        met = await oneFault(recorder, plan, round, async () =>
          recorder.closeVault(await recorder.openVault()),
        );
        const vault = await recorder.openVault();
        const id = await recorder.seal(vault, 'first', KEPT);
        expect(await opensAs(vault, ALICE, { id }, KEPT)).toBe(true);
        await vault.close();
      });
      if (met.length === 0) return void expect(round).toBeGreaterThan(10);
      points += met.length;
      judge(plan, met, HARMLESS);
      rmSync(place, { recursive: true });
    }
  });
});

afterAll(() => {
  console.log(
    `faults: seed ${SEED}, ${points} of ${points} points covered, ${outcomes} power cuts after`,
  );
});

interface Prepared {
  readonly recorder: Recorder;
  readonly vault: Vault;
  /** Its only checkpoint. */
  readonly kept: string;
  /** Closes the vault, unless that is done. */
  shut(): Promise<void>;
}

/** Prepares a vault, has `work` done on it, and cuts the power after each of its rounds. */
async function withVault(
  what: string,
  plan: FaultPlan,
  work: (prepared: Prepared) => Promise<readonly Met[]>,
): Promise<void> {
  const root = scratchRoot();
  onTestFinished(() => rmSync(root, { recursive: true }));
  let met: readonly Met[] = [];
  const recording = await record(root, async (recorder) => {
    const vault = await recorder.openVault();
    let isOpen = true;
    const shut = async (): Promise<void> => {
      if (isOpen) await vault.close();
      isOpen = false;
    };
    const kept = await recorder.seal(vault, 'kept', KEPT);
    met = await work({ recorder, vault, kept, shut });
    await shut();
    const again = await recorder.openVault();
    expect(await opensAs(again, ALICE, { id: kept }, KEPT)).toBe(true);
    await again.verifyLedger();
    await again.close();
  });
  points += met.length;
  judge(plan, met, HARMLESS);
  const isCut = NIGHTLY || (plan.lasts === 'once' && plan.fault.code === 'EIO');
  const ends = isCut ? met.map(({ roundEnd }) => roundEnd) : [];
  // By day every so many rounds, evenly.
  const step = NIGHTLY ? 1 : Math.ceil(ends.length / CUTS_A_DAY);
  const only = new Set(ends.filter((_, at) => at % step === 0)).add(recording.steps.length);
  const effort = { randomPerPoint: NIGHTLY ? 20 : 1, nestedEvery: 0, nestedPoints: 0, seed: SEED };
  const report = await crashEverywhere(recording, { ...effort, only });
  outcomes += report.outcomes;
  console.log(`${plan.name} at ${met.length} operations of ${what}; ${report.outcomes} power cuts`);
}
