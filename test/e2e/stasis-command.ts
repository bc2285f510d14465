/**
 * Runs the built command as a user would: a process of its own, with a STASIS_HOME of the test's own.
 */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JobReport } from '../../src/cli/job-host.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const COMMAND = commandOf(ROOT);

export interface CommandResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

export interface CommandOptions {
  /** Called as soon as the process runs; without it stdin is at its end. */
  readonly talk?: (child: ChildProcessWithoutNullStreams) => void;
  readonly uid?: number;
}

/** The command with `home` as its STASIS_HOME. */
export interface Stasis {
  readonly home: string;
  /** Directory of the built program. */
  readonly program: string;
  (words: readonly string[], options?: CommandOptions): Promise<CommandResult>;
}

function commandOf(program: string): string {
  return join(program, 'bin', 'stasis.mjs');
}

/** The command of `program`, a directory with `bin` and `dist`. */
export function stasisIn(home: string, program = ROOT): Stasis {
  assertBuilt();
  const command = commandOf(program);
  const run = (words: readonly string[], options: CommandOptions = {}): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      const { uid, talk } = options;
      const child = spawn(process.execPath, [command, ...words], {
        env: { PATH: process.env['PATH'], STASIS_HOME: home },
        ...(uid === undefined ? {} : { uid, gid: uid }),
      });
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout.on('data', (part: Buffer) => stdout.push(part));
      child.stderr.on('data', (part: Buffer) => stderr.push(part));
      child.once('error', reject);
      child.once('close', (status, signal) =>
        resolve({ status, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) }),
      );
      // A guest that does not read leaves its input to nobody.
      child.stdin.on('error', () => {});
      if (talk === undefined) child.stdin.end();
      else talk(child);
    });
  return Object.assign(run, { home, program });
}

/** What `--json` prints of a run that is over, taken off the end of stderr. */
export interface ReportedRun extends CommandResult {
  readonly report: JobReport;
}

/** For `run` and `restore` in the foreground, with `--json`. */
export async function reported(result: Promise<CommandResult>): Promise<ReportedRun> {
  const { status, signal, stdout, stderr } = await result;
  const text = stderr.toString('latin1');
  const start = text.lastIndexOf('\n', text.length - 2) + 1;
  const line = stderr.subarray(start).toString('utf8');
  assert.match(line, /^\{.*\}\n$/, `no report at the end of stderr: ${text}`);
  const report = JSON.parse(line) as JobReport;
  return { status, signal, stdout, stderr: stderr.subarray(0, start), report };
}

/** A test of a program that is older than its source would prove nothing. */
export function assertBuilt(): void {
  const built = join(ROOT, 'dist', 'index.js');
  assert.ok(existsSync(built), 'the program is not built: npm run build');
  const builtMs = statSync(built).mtimeMs;
  for (const file of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    const { mtimeMs } = statSync(join(ROOT, 'src', file));
    assert.ok(mtimeMs <= builtMs, `src/${file} is newer than what was built: npm run build`);
  }
}
