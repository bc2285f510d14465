import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import type { RunFate, UseKind } from '../../src/vault/use.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { makePlaces } from './places.ts';
import { ALICE, BOB, makeImage, open, type Places, sealRequest } from './test-vault.ts';

const CHILD = join(import.meta.dirname, 'claiming-child.ts');
const PROCESSES = 3;
const CHECKPOINTS = 12;

/** Claims for run `run` of the job; `fate` is what became of whoever claimed before. */
function claim(
  vault: Vault,
  id: string,
  run: number,
  fate: RunFate = 'running',
  how: UseKind = 'once',
) {
  return vault.claim(ALICE, id, { job: 'job-1', run, how, fateOf: () => fate });
}

const refusal = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: { code: string }) => error.code,
  );

describe('a checkpoint is used once', () => {
  test('while its run goes on, and after it ended well, nobody else gets it', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    expect(await vault.uses(ALICE)).toEqual(new Map());
    await claim(vault, id, 2);
    expect(await vault.uses(ALICE)).toEqual(
      new Map([[id, { state: 'claimed', job: 'job-1', run: 2 }]]),
    );
    expect(await refusal(claim(vault, id, 3))).toBe('ERR_JOB_RUNNING');
    await vault.settle(ALICE, id, { job: 'job-1', run: 2 }, true);
    for (const fate of ['running', 'ended well', 'came to nothing'] as const) {
      expect(await refusal(claim(vault, id, 3, fate)), fate).toBe('ERR_CHECKPOINT_USED');
    }
    await vault.close();
  });

  test('a run that came to nothing frees it, told or not', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await claim(vault, id, 2);
    await vault.settle(ALICE, id, { job: 'job-1', run: 2 }, false);
    expect(await vault.uses(ALICE)).toEqual(new Map());
    // Its host died before it could say anything: whoever comes next is told by the process table.
    await claim(vault, id, 3);
    await claim(vault, id, 4, 'came to nothing');
    expect(await refusal(claim(vault, id, 5, 'ended well'))).toBe('ERR_CHECKPOINT_USED');
    // What is late changes nothing: the claim is another run's by now.
    await vault.settle(ALICE, id, { job: 'job-1', run: 3 }, true);
    expect((await vault.uses(ALICE)).get(id)).toEqual({ state: 'claimed', job: 'job-1', run: 4 });
    await vault.close();
  });

  test('a run that seals a newer one has used it, whatever becomes of the run', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await claim(vault, id, 2);
    await vault.seal(sealRequest({ run: 2, from: id, ...makeImage(2, 2) }));
    await vault.settle(ALICE, id, { job: 'job-1', run: 2 }, false);
    expect(await refusal(claim(vault, id, 3, 'came to nothing'))).toBe('ERR_CHECKPOINT_USED');
    // Another job's, or another run's, uses up nothing.
    const other = await vault.seal(sealRequest());
    await claim(vault, other.id, 2);
    await vault.seal(sealRequest({ run: 3, from: other.id }));
    await vault.seal(sealRequest({ job: 'job-2', run: 2, from: other.id }));
    await vault.seal(sealRequest({ run: 2, from: 'ff'.repeat(16) }));
    expect((await vault.uses(ALICE)).get(other.id)?.state).toBe('claimed');
    await vault.close();
  });

  test('again, although it was used, but not while a run goes on from it', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await claim(vault, id, 2);
    expect(await refusal(claim(vault, id, 3, 'running', 'again'))).toBe('ERR_JOB_RUNNING');
    await vault.settle(ALICE, id, { job: 'job-1', run: 2 }, true);
    await claim(vault, id, 3, 'ended well', 'again');
    expect((await vault.uses(ALICE)).get(id)).toEqual({ state: 'claimed', job: 'job-1', run: 3 });
    expect(await refusal(claim(vault, id, 4))).toBe('ERR_JOB_RUNNING');
    await vault.close();
  });

  test('a clone needs no claim and leaves none, and is in the ledger', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await claim(vault, id, 1, 'running', 'clone');
    expect(await vault.uses(ALICE)).toEqual(new Map());
    await claim(vault, id, 2);
    await claim(vault, id, 1, 'running', 'clone');
    await vault.settle(ALICE, id, { job: 'job-1', run: 2 }, true);
    await claim(vault, id, 1, 'running', 'clone');
    expect((await vault.verifyLedger()).entries).toBe(8);
    await vault.close();
  });

  test("another owner's can be neither claimed nor settled, as if it were not there", async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await vault.seal(sealRequest({ requester: BOB }));
    const request = {
      job: 'job-1',
      run: 2,
      how: 'once' as const,
      fateOf: () => 'running' as const,
    };
    for (const asked of [id, 'ff'.repeat(16)]) {
      expect(await refusal(vault.claim(BOB, asked, request))).toBe('ERR_NO_SUCH_CHECKPOINT');
    }
    await claim(vault, id, 2);
    await vault.settle(BOB, id, { job: 'job-1', run: 2 }, true);
    expect((await vault.uses(ALICE)).get(id)?.state).toBe('claimed');
    await vault.close();
  });
});

// THREATS, case 11.
test('of several processes that claim one checkpoint at once exactly one gets it', async () => {
  const places = makePlaces();
  const vault = await open(places);
  const ids: string[] = [];
  for (let at = 0; at < CHECKPOINTS; at++) ids.push((await vault.seal(sealRequest())).id);
  await vault.close();
  const outputs = await Promise.all(claimAtOnce(places, ids));
  const lines = outputs.flatMap((output) => output.trimEnd().split('\n').slice(1));
  expect(lines).toHaveLength(PROCESSES * CHECKPOINTS);
  for (const id of ids) {
    expect(lines.filter((line) => line === `won ${id}`)).toHaveLength(1);
    expect(lines.filter((line) => line === `lost ${id} ERR_JOB_RUNNING`)).toHaveLength(
      PROCESSES - 1,
    );
  }
  const winners = outputs.map((output) => output.match(/won/g)?.length ?? 0);
  console.log(`claims: ${CHECKPOINTS} checkpoints, won by the processes: ${winners.join(', ')}`);
});

function claimAtOnce(places: Places, ids: readonly string[]): Promise<string>[] {
  const children = Array.from({ length: PROCESSES }, (_, at) =>
    spawn(process.execPath, [CHILD, places.root, String(at + 2), ...ids], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  );
  let waiting = children.length;
  return children.map(
    (child) =>
      new Promise<string>((resolve) => {
        let text = '';
        child.stdout.setEncoding('utf8').on('data', (part: string) => {
          text += part;
          if (text !== 'ready\n') return;
          waiting -= 1;
          if (waiting === 0) for (const each of children) each.stdin.end('\n');
        });
        child.once('close', () => resolve(text));
      }),
  );
}

test('a mark that is put back, exchanged or taken away is refused', async () => {
  const places = makePlaces();
  const vault = await open(places);
  const first = await vault.seal(sealRequest());
  const second = await vault.seal(sealRequest());
  await claim(vault, first.id, 2);
  await vault.settle(ALICE, first.id, { job: 'job-1', run: 2 }, true);
  await claim(vault, second.id, 3);
  await vault.close();
  const path = join(places.directory, 'index.sqlite');
  const marks = (change: (database: DatabaseSync) => void): void => {
    const database = new DatabaseSync(path);
    change(database);
    database.close();
  };
  const read = () => {
    const found = new Map<string, Uint8Array>();
    marks((database) => {
      for (const row of database.prepare('SELECT id, mark FROM checkpoints').all()) {
        found.set(String(row['id']), row['mark'] as Uint8Array);
      }
    });
    return found;
  };
  const was = read();
  const write = (id: string, mark: Uint8Array | null) =>
    marks((database) => {
      database.prepare('UPDATE checkpoints SET mark = ? WHERE id = ?').run(mark, id);
    });
  let refused = 0;
  for (const mark of [null, was.get(second.id)!, new Uint8Array(40)]) {
    write(first.id, mark);
    const again = await open(places);
    for (const work of [again.uses(ALICE), again.find(ALICE, {}), claim(again, first.id, 4)]) {
      expect(await refusal(work)).toBe('ERR_VAULT_DAMAGED');
      refused++;
    }
    await again.close();
  }
  write(first.id, was.get(first.id)!);
  const again = await open(places);
  expect((await again.uses(ALICE)).size).toBe(2);
  await again.close();
  expect(refused).toBe(9);
});
