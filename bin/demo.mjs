#!/usr/bin/env node
// The main job, by itself: a guest is run with checkpoints, its host and its cell are killed with
// SIGKILL, it is restored, and its output is compared with what it had to be. Ends with 1 if a line is
// lost or doubled. Everything happens in a state directory of its own, which is removed.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const QUEENS = 12;
const CHECKPOINTS_BEFORE_KILL = 2;
/** So that some work is done after the last checkpoint, and lost, and done again. */
const WORK_LOST_MS = 600;
const POLL_MS = 50;
const PICTURE_COLUMNS = 64;

const root = fileURLToPath(new URL('..', import.meta.url));
const command = join(root, 'bin', 'stasis.mjs');
const home = mkdtempSync(join(tmpdir(), 'stasis-demo-'));
const options = { cwd: root, env: { ...process.env, STASIS_HOME: home }, maxBuffer: 2 ** 26 };
const began = Date.now();

const seconds = (time) => ((time - began) / 1000).toFixed(1);

function tell(text) {
  for (const line of text.trimEnd().split('\n')) {
    process.stdout.write(`${seconds(Date.now()).padStart(5)} s  ${line}\n`);
  }
}

/** Runs a command, shows it, and gives back what it printed. */
async function stasis(...words) {
  tell(`$ stasis ${words.join(' ')}`);
  const { stdout } = await promisify(execFile)(process.execPath, [command, ...words], options);
  return stdout;
}

async function quietly(...words) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [command, ...words, '--json'],
    options,
  );
  return JSON.parse(stdout);
}

async function theJob() {
  const { jobs } = await quietly('ps', '--all');
  return jobs[0];
}

/** Waits for the next checkpoints of the running job; fails when the job ends before. */
async function checkpointsMade(count) {
  for (;;) {
    const job = await theJob();
    if (job.state !== 'running') throw new Error(`the job is ${job.state}, too early`);
    if ((job.checkpoint?.sequence ?? 0) >= count) return job;
    await sleep(POLL_MS);
  }
}

async function gone(pid) {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    if ((await theJob()).state !== 'running') return;
    await sleep(POLL_MS);
  }
}

function restoreHere() {
  tell('$ stasis restore job');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [command, 'restore', 'job'], {
      ...options,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface(child.stdout).on('line', tell);
    child.once('error', reject);
    child.once('close', (status) => resolve(status));
  });
}

/** One line a run, time from left to right. */
function drawPicture({ checkpoints, killedAt, restoredAt, endedAt, status }) {
  const total = endedAt - began;
  const column = (time) =>
    Math.max(
      0,
      Math.min(PICTURE_COLUMNS - 1, Math.floor(((time - began) / total) * PICTURE_COLUMNS)),
    );
  const draw = (from, to, last, run) => {
    const cells = Array.from({ length: PICTURE_COLUMNS }, (_, at) =>
      at >= column(from) && at <= column(to) ? '-' : ' ',
    );
    for (const made of checkpoints)
      if (made.run === run) cells[column(Date.parse(made.stamp))] = 'o';
    cells[column(to)] = last;
    return cells.join('').trimEnd();
  };
  const resumed = checkpoints.filter(({ run }) => run === 1)[0];
  return [
    '',
    `  run 1  ${draw(began, killedAt, 'X', 1)}`,
    `  run 2  ${draw(restoredAt, endedAt, '>', 2)}`,
    `         0 s${`${seconds(endedAt)} s`.padStart(PICTURE_COLUMNS - 3)}`,
    '',
    '  o  a checkpoint, sealed in the vault',
    '  X  kill -9 of the host and of the cell',
    `  >  the guest's own end, with exit status ${status}`,
    '',
    `  Run 2 went on from checkpoint #${resumed.sequence}: what run 1 did after it was lost, and done again.`,
  ].join('\n');
}

function judge(lines) {
  const expected = [
    ...Array.from({ length: QUEENS }, (_, at) => `first queen in column ${at + 1}:`),
    `${QUEENS} queens:`,
    'ok nqueens',
  ];
  const times = expected.map((start) => lines.filter((line) => line.startsWith(start)).length);
  const lost = times.filter((count) => count === 0).length;
  const doubled = times.filter((count) => count > 1).length;
  const inOrder = lines.every((line, at) => line.startsWith(expected[at] ?? '\n'));
  return { lost, doubled, inOrder, there: lines.length, expected: expected.length };
}

async function main() {
  const module = join('guests', 'build', 'nqueens.wasm');
  const run = [
    'run',
    '--detach',
    '--name',
    'job',
    '--checkpoint-every',
    '1s',
    module,
    String(QUEENS),
  ];
  tell(await stasis(...run));
  await checkpointsMade(CHECKPOINTS_BEFORE_KILL);
  await sleep(WORK_LOST_MS);
  tell(await stasis('ps'));
  const { hostPid, cellPid } = await theJob();
  tell(`$ kill -9 ${hostPid} ${cellPid}`);
  for (const pid of [hostPid, cellPid]) process.kill(pid, 'SIGKILL');
  const killedAt = Date.now();
  await gone(hostPid);
  tell(await stasis('ps'));
  tell(await stasis('restore', 'job', '--dry-run'));
  const restoredAt = Date.now();
  const status = await restoreHere();
  const endedAt = Date.now();
  const log = await stasis('logs', 'job');
  tell(log);
  const { checkpoints } = await quietly('checkpoints', 'job');
  process.stdout.write(`${drawPicture({ checkpoints, killedAt, restoredAt, endedAt, status })}\n`);
  const { lost, doubled, inOrder, there, expected } = judge(log.trimEnd().split('\n'));
  process.stdout.write(
    `  ${there} lines of output, ${expected} expected: ${lost} lost, ${doubled} doubled, ${inOrder ? 'in' : 'out of'} order.\n\n`,
  );
  return status === 0 && lost === 0 && doubled === 0 && inOrder && there === expected;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`the demo failed: ${error.stderr || error.message}\n`);
  process.exitCode = 1;
} finally {
  // A job that is still there must not outlive the demo.
  await promisify(execFile)(process.execPath, [command, 'rm', '--force', 'job'], options).catch(
    () => {},
  );
  rmSync(home, { recursive: true, force: true });
}
