/**
 * A guest that books transfers in a database, killed with SIGKILL at random moments and restored each
 * time by the command, while another process leaves notes in the same database. Each transfer is booked
 * exactly once, and the guest's cursor gives every note once.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { newChance } from './random-source.ts';
import { type CommandResult, ROOT, stasisIn } from './stasis-command.ts';

const MODULE = join(ROOT, 'guests', 'build', 'kv', 'kv-ledger.wasm');
const KILLS = process.env['STASIS_NIGHTLY'] === '1' ? 200 : 12;
const RUN_MS_MIN = 300;
const RUN_MS_MAX = 900;
const ROUNDS = 120;
const EVERY = '40ms';

const scratch = scratchDirectory();
const stasis = stasisIn(join(scratch, 'home'));

/** Runs the command, and kills its process, the guest's host, after so long; null: never. */
async function runAndKill(
  words: readonly string[],
  afterMs: number | null,
): Promise<CommandResult> {
  let over = false;
  let host = 0;
  const result = stasis(words, {
    talk: (child) => {
      host = child.pid!;
      child.stdin.end();
    },
  }).finally(() => {
    over = true;
  });
  if (afterMs === null) return result;
  await sleep(afterMs);
  if (!over) process.kill(host, 'SIGKILL');
  return result;
}

function leaveNote(file: string, note: number): void {
  const database = new DatabaseSync(file, { timeout: 10_000 });
  const key = Buffer.from(`note/${String(note).padStart(6, '0')}`);
  database.prepare('INSERT INTO entries VALUES (?, ?)').run(key, Buffer.from('a note'));
  database.close();
}

test(`a ledger survives ${KILLS} kills`, async () => {
  const chance = newChance();
  const done = { kills: 0, jobs: 0, notes: 0, unrestorable: 0 };
  for (let job = 0; done.kills < KILLS; job++) {
    const name = `ledger-${job}`;
    const file = join(scratch, `${name}.db`);
    const words = ['--kv', `ledger=${file}`, '--checkpoint-every', EVERY];
    const first = ['run', '--name', name, ...words, MODULE, String(ROUNDS), '20000'];
    let next = first;
    let notes = 0;
    // A machine with much to do may need longer than that to get to a checkpoint.
    let slowness = 1;
    for (;;) {
      const patience = slowness * (RUN_MS_MIN + chance.below(RUN_MS_MAX - RUN_MS_MIN));
      const { signal, status, stderr } = await runAndKill(
        next,
        done.kills < KILLS ? patience : null,
      );
      if (signal === null && !/ERR_NO_SUCH_(CHECKPOINT|JOB)/.test(String(stderr))) {
        expect(String(stderr)).not.toContain('error:');
        expect(status).toBe(0);
        break;
      }
      if (signal === null) {
        // Killed before its first checkpoint: the job begins anew, the database does not.
        done.unrestorable += 1;
        slowness *= 2;
        await stasis(['rm', '--force', name]);
        next = first;
        continue;
      }
      done.kills += 1;
      next = ['restore', name, ...words];
      try {
        leaveNote(file, notes);
        notes += 1;
      } catch (error) {
        // Killed before it made the database.
        expect(String(error)).toContain('no such table');
      }
    }
    const { stdout } = await stasis(['logs', '--raw', name]);
    expect(String(stdout)).toMatch(new RegExp(`\\nnotes ${notes}\\nok kv-ledger\\n$`));
    done.jobs += 1;
    done.notes += notes;
  }
  process.stdout.write(
    `kv: ${done.kills} kills, ${done.jobs} ledgers right, ${done.notes} notes of others, ` +
      `${done.unrestorable} killed before a checkpoint, seed ${chance.seed}\n`,
  );
});

test('a checkpoint is refused in a transaction, by name, and made outside of one', async () => {
  const file = join(scratch, 'held.db');
  const words = ['run', '--detach', '--name', 'held', '--kv', `ledger=${file}`, MODULE];
  // Two rounds: three seconds in a transaction, three outside.
  expect((await stasis([...words, '2', '3000000', '3000000'])).status).toBe(0);
  const told = { made: 0, inTransaction: 0 };
  for (;;) {
    const { status, stderr } = await stasis(['checkpoint', 'held']);
    if (status === 0) told.made += 1;
    else if (String(stderr).includes('ERR_JOB_NOT_RUNNING')) break;
    else {
      expect(String(stderr)).toMatch(/a transaction on the database ledger is open/);
      expect(String(stderr)).toContain('(ERR_NOT_CAPTURABLE)');
      told.inTransaction += 1;
    }
  }
  expect(told.made).toBeGreaterThan(0);
  expect(told.inTransaction).toBeGreaterThan(0);
  const { stdout } = await stasis(['logs', '--raw', 'held']);
  expect(String(stdout)).toMatch(/ok kv-ledger\n$/);
});

test('a restore without the database, or with another one, is refused by name', async () => {
  const file = join(scratch, 'granted.db');
  const made = await stasis([
    ...['run', '--name', 'granted', '--kv', `ledger=${file}`, '--checkpoint-at-call', '200:stop'],
    ...[MODULE, '20'],
  ]);
  // Call 200 may be in a transaction; then the guest went on to its end.
  const at = String(made.stdout).includes('ok') ? '201:stop' : null;
  if (at !== null) {
    for (let call = 201; call < 260; call++) {
      const again = await stasis([
        ...['run', '--name', `granted-${call}`, '--kv', `ledger=${file}-${call}`],
        ...['--checkpoint-at-call', `${call}:stop`, MODULE, '20'],
      ]);
      if (!String(again.stdout).includes('ok')) {
        await refusals(`granted-${call}`, `${file}-${call}`);
        return;
      }
    }
    throw new Error('no call outside of a transaction was found');
  }
  await refusals('granted', file);
});

async function refusals(job: string, file: string): Promise<void> {
  const receipt = await stasis(['restore', job, '--dry-run']);
  expect(String(receipt.stdout)).toContain(`grants       ${file} as database ledger\n`);
  const without = await stasis(['restore', job, '--kv', `other=${file}`]);
  expect(without.status).toBe(125);
  expect(String(without.stderr)).toContain('grant it with --kv ledger=FILE');
  const another = await stasis(['restore', job, '--kv', `ledger=${join(scratch, 'new.db')}`]);
  expect(another.status).toBe(125);
  expect(String(another.stderr)).toContain('is another database than the guest had open as ledger');
  const right = await stasis(['restore', job]);
  expect(String(right.stderr)).not.toContain('error:');
  expect(String(right.stdout)).toMatch(/ok kv-ledger\n$/);
}
