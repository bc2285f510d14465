/**
 * The README is true: the session on its first screen is run as it stands there, and every command and
 * option that it names exists.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { scratchDirectory } from './host/scratch.ts';

const ROOT = join(import.meta.dirname, '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const home = join(scratchDirectory(), 'home');

/** Runs a line in a shell; `npx stasis` is the built command of this tree. */
function shell(line: string): Promise<{ status: number; stdout: string; stderr: string }> {
  const words = line.replaceAll('npx stasis', `"${process.execPath}" bin/stasis.mjs`);
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], STASIS_HOME: home };
    const child = execFile('sh', ['-c', words], { cwd: ROOT, env }, (_error, stdout, stderr) => {
      resolve({ status: child.exitCode ?? -1, stdout, stderr });
    });
  });
}

interface Line {
  readonly command: string;
  /** What the README shows beneath it. */
  readonly shown: readonly string[];
}

function session(): Line[] {
  const [, block = ''] = /```\n(\$ [\s\S]*?)```/.exec(README) ?? [];
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [first = '', ...shown] = part.trimEnd().split('\n');
      return { command: first.replace(/ {2,}#.*$/, ''), shown };
    });
}

test('the session on the first screen goes as it is shown', async () => {
  const lines = session();
  const expected = ['run', 'ps', 'kill', 'ps', 'restore', 'echo', 'logs'];
  expect(lines.map(({ command }) => /^(?:npx stasis )?(\w+)/.exec(command)?.[1])).toEqual(expected);
  const [run, ps, kill, gone, restore, , logs] = lines as [
    Line,
    Line,
    Line,
    Line,
    Line,
    Line,
    Line,
  ];

  expect((await shell(run.command)).stdout).toBe(`${run.shown.join('\n')}\n`);
  const pids = await pidsOfCheckpointed();
  const running = await shell(ps.command);
  expect(running.stdout.split('\n')[0]?.split(/\s+/)).toEqual(ps.shown[0]?.split(/\s+/));
  expect(running.stdout).toMatch(/^job +running +1 /m);

  expect(kill.command).toMatch(/^kill -9 \d+ \d+$/);
  expect((await shell(`kill -9 ${pids.join(' ')}`)).status).toBe(0);
  await untilRestorable(gone.command);

  const restored = await shell(restore.command);
  expect(restored.stderr).toBe('');
  expect(restored.status).toBe(0);
  expect(restored.stdout).toMatch(/ok nqueens\n$/);
  const [count = ''] = logs.shown;
  expect((await shell(logs.command)).stdout.trim()).toBe(count);
});

/** The pids that the README's reader would read off `ps`, once there is a checkpoint to go on from. */
async function pidsOfCheckpointed(): Promise<number[]> {
  for (;;) {
    const { stdout } = await shell('npx stasis ps --json');
    const { jobs } = JSON.parse(stdout) as {
      jobs: { checkpoint: object | null; hostPid: number; cellPid: number }[];
    };
    expect(jobs).toHaveLength(1);
    const { checkpoint, hostPid, cellPid } = jobs[0]!;
    if (checkpoint !== null) return [hostPid, cellPid];
    await sleep(50);
  }
}

async function untilRestorable(command: string): Promise<void> {
  for (;;) {
    const { stdout } = await shell(command);
    if (/^job +restorable /m.test(stdout)) return;
    await sleep(50);
  }
}

test('every command and option that it names exists', async () => {
  const rows = [...README.matchAll(/^\| `stasis (\w+)[^`]*` \| (.*) \|$/gm)];
  const help = (await shell('npx stasis --help')).stdout;
  const commands = [...help.matchAll(/^ {2}([a-z]+) [^\n]*$/gm)].map(([, name]) => name);
  expect(rows.map(([, command]) => command)).toEqual(commands.filter((name) => name !== 'help'));
  let options = 0;
  for (const [, command, description = ''] of rows) {
    const { status, stdout } = await shell(`npx stasis ${command} --help`);
    expect(status).toBe(0);
    for (const [, option] of description.matchAll(/`(--[a-z-]+)/g)) {
      expect(stdout).toContain(option);
      options++;
    }
  }
  expect(options).toBeGreaterThan(8);
});

test('every file that it links to is there', () => {
  const links = [...README.matchAll(/\]\(([^)#]+)\)/g)].map(([, path]) => path!);
  expect(links.length).toBeGreaterThan(5);
  for (const path of links) expect(existsSync(join(ROOT, path)), path).toBe(true);
});
