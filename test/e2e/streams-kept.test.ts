/**
 * No byte of a guest's standard streams is lost or doubled, wherever it was stopped and whatever its
 * streams are: a copy of the input comes out, in parts, from several runs of one guest.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nativeDescriptors } from '../../src/handle/native-descriptors.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { newChance } from './random-source.ts';
import { COMMAND, ROOT, stasisIn } from './stasis-command.ts';

const INPUT_BYTES = 200_000;
/** Reads and writes of a run to its end are several times as many. */
const LAST_CALL = 250;
const STOPS = 4;
const POLL_MS = 20;
const QUIET_MS = 200;

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const stasis = stasisIn(home);
const chance = newChance();
const guest = join(ROOT, 'guests', 'build', 'copy-stream.wasm');
const input = join(scratch, 'input');
const bytes = Buffer.from(Array.from({ length: INPUT_BYTES }, () => chance.below(256)));
writeFileSync(input, bytes);

/** Words of a shell's command line. */
const command = (...words: readonly string[]): string =>
  [process.execPath, COMMAND, ...words].map((word) => `'${word}'`).join(' ');

function shell(script: string): { status: number | null; stderr: string } {
  const env = { PATH: process.env['PATH'], STASIS_HOME: home };
  try {
    execFileSync('sh', ['-c', script], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    return { status: 0, stderr: '' };
  } catch (error) {
    const { status, stderr } = error as { status: number | null; stderr: Buffer };
    return { status, stderr: String(stderr) };
  }
}

/** A first run and restores, each stopped at a host call but the last. */
function runs(name: string, seed: number): string[] {
  const calls = Array.from({ length: STOPS }, () => 1 + chance.below(LAST_CALL)).sort(
    (one, other) => one - other,
  );
  const stopAt = (call: number) => ['--checkpoint-at-call', `${call}:stop`];
  const [first, ...later] = [...new Set(calls)];
  return [
    command('run', '--name', name, ...stopAt(first!), guest, String(seed)),
    ...later.map((call) => command('restore', ...stopAt(call), name)),
    command('restore', name),
  ];
}

function expectCopy(got: Buffer, copied: Buffer = bytes): void {
  const at = got.findIndex((byte, index) => index < copied.length && byte !== copied[index]);
  expect(at, `the first byte that differs, seed ${chance.seed}`).toBe(-1);
  const rest = got.subarray(copied.length).toString('latin1');
  expect(rest).toMatch(new RegExp(`^\\n${copied.length} bytes, [0-9a-f]{16}\\nok copy-stream\\n$`));
}

const WAYS: Readonly<Record<string, (steps: readonly string[], out: string) => string>> = {
  'one pipe to a file': (steps, out) => `cat '${input}' | { ${steps.join('; ')}; } > '${out}'`,
  'one pipe to a pipe': (steps, out) =>
    `cat '${input}' | { ${steps.join('; ')}; } | cat > '${out}'`,
  'the same file, opened anew': (steps, out) =>
    steps.map((step) => `${step} < '${input}' >> '${out}'`).join('; '),
  'a terminal to write to': (steps, out) =>
    `cat '${input}' | base64 -w0 > '${out}.text'; ` +
    steps
      .map(
        (step) =>
          `script -qec "${step} < '${out}.text' 2>/dev/null" /dev/null < /dev/null >> '${out}'`,
      )
      .join('; '),
};

test.each(Object.keys(WAYS))('stopped and restored again and again: %s', async (way) => {
  const name = `copy-${Object.keys(WAYS).indexOf(way)}`;
  const out = join(scratch, name);
  const steps = runs(name, chance.below(1000));
  expect(shell(WAYS[way]!(steps, out))).toEqual({ status: 0, stderr: '' });
  if (way === 'a terminal to write to') {
    // A terminal ends lines in its own way.
    const text = readFileSync(out, 'latin1').replaceAll('\r\n', '\n');
    expectCopy(Buffer.from(text, 'latin1'), readFileSync(`${out}.text`));
  } else {
    expectCopy(readFileSync(out));
    expectCopy((await stasis(['logs', '--raw', name])).stdout);
  }
  process.stdout.write(`streams: ${way}: ${steps.length} runs, seed ${chance.seed}\n`);
});

test.each(['<&-', '< /dev/null'])('there is nothing to copy from %s', (redirection) => {
  const out = join(scratch, 'nothing');
  expect(shell(`${command('run', guest)} ${redirection} > '${out}'`).status).toBe(0);
  expectCopy(readFileSync(out), Buffer.alloc(0));
});

test('output that is refused is an errno of the guest', () => {
  const out = join(scratch, 'full');
  // The guest says so on the same stream, in vain, and ends with its own status.
  expect(shell(`${command('run', guest)} < '${input}' > /dev/full`).status).toBe(1);
  expect(shell(`${command('run', guest)} < '${input}' | head -c 10 > '${out}'`).status).toBe(0);
  expect(Buffer.compare(readFileSync(out), bytes.subarray(0, 10))).toBe(0);
});

/** Reads what is in a pipe, without waiting. */
function drain(fd: number): Buffer {
  const parts: Buffer[] = [];
  const part = Buffer.alloc(65_536);
  for (;;) {
    try {
      const count = readSync(fd, part);
      if (count === 0) return Buffer.concat(parts);
      parts.push(Buffer.from(part.subarray(0, count)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return Buffer.concat(parts);
      throw error;
    }
  }
}

/** Starts a command that copies the input into a pipe that nobody reads. */
function blocked(words: readonly string[], write: number) {
  const stdin = openSync(input, 'r');
  const child: ChildProcess = spawn(process.execPath, [COMMAND, ...words], {
    env: { PATH: process.env['PATH'], STASIS_HOME: home },
    stdio: [stdin, write, 'ignore'],
  });
  closeSync(stdin);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { ended };
}

/** Makes a checkpoint of a guest as soon as it runs; how long it took to reach, in milliseconds. */
async function capture(words: readonly string[]): Promise<number> {
  for (;;) {
    const { status, stdout } = await stasis(['checkpoint', '--json', ...words]);
    if (status === 0) return (JSON.parse(String(stdout)) as { reachNs: number }).reachNs / 1e6;
    await sleep(POLL_MS);
  }
}

test('a guest that writes where nobody reads is captured there, and goes on where it was', async () => {
  const fifo = join(scratch, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const pipe = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const write = openSync(fifo, constants.O_WRONLY);
  expect([isBlocking(pipe), isBlocking(write)]).toEqual([false, true]);
  const parts: Buffer[] = [];
  const reached: number[] = [];
  const words = (name: string) => ['run', '--name', name, guest, '7', '100000'];

  // Stopped in the midst of a write that the pipe took a part of, and again in the run after it.
  let run = blocked(words('full'), write);
  await filled(pipe);
  reached.push(await capture(['full']));
  reached.push(await capture(['--stop', 'full']));
  expect(await run.ended).toBe(0);
  parts.push(drain(pipe));
  run = blocked(['restore', 'full'], write);
  await filled(pipe);
  reached.push(await capture(['--stop', 'full']));
  expect(await run.ended).toBe(0);
  run = blocked(['restore', 'full'], write);
  let isOver = false;
  run.ended.then(() => {
    isOver = true;
  });
  while (!isOver) {
    parts.push(drain(pipe));
    await sleep(1);
  }
  parts.push(drain(pipe));
  expect(await run.ended).toBe(0);
  expectCopy(Buffer.concat(parts));
  expectCopy((await stasis(['logs', '--raw', 'full'])).stdout);
  expect(isBlocking(write)).toBe(true);
  closeSync(write);
  closeSync(pipe);
  const shown = reached.map((ms) => ms.toFixed(2)).join(', ');
  process.stdout.write(`streams: captured in a full pipe, reached in ${shown} ms\n`);
  // A bound that no slow machine breaks; without a way to interrupt a write it is never.
  for (const ms of reached) expect(ms).toBeLessThan(10_000);
});

/** Waits until nothing comes into a pipe any more: how many bytes it takes depends on their portions. */
async function filled(pipe: number): Promise<void> {
  const { waitingBytes } = nativeDescriptors()!;
  for (let before = 0; ; ) {
    await sleep(QUIET_MS);
    const now = waitingBytes(pipe);
    if (now > 0 && now === before) return;
    before = now;
  }
}

/** Whether reading or writing through `fd` blocks, as whoever shares it expects. */
function isBlocking(fd: number): boolean {
  const [, flags] = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))!;
  return (Number.parseInt(flags!, 8) & constants.O_NONBLOCK) === 0;
}
