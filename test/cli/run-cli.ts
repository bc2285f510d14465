/**
 * Runs the command line as a user does, as it is built, in a state directory of the test's own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { assertBuilt } from '../e2e/stasis-command.ts';

/** The command line's own program. */
export const MAIN = fileURLToPath(new URL('../../bin/stasis.mjs', import.meta.url));
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface CliResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly input?: string | Uint8Array;
  /** Standard input stays open after `input` until the process ends. */
  readonly keepInputOpen?: boolean;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A program that starts the command line in its turn: its words come first. */
  readonly through?: readonly string[];
  /** Called as soon as the process runs. */
  readonly onStart?: (child: ChildProcess) => void;
}

export type Cli = (words: readonly string[], options?: CliOptions) => Promise<CliResult>;

/** The command line with `home` as its STASIS_HOME. */
export function cliIn(home: string): Cli {
  assertBuilt();
  return (words, options = {}) =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [...(options.through ?? []), MAIN, ...words], {
        cwd: options.cwd ?? ROOT,
        env: { PATH: process.env['PATH'], STASIS_HOME: home, ...options.env },
      });
      const parts = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8');
        child[name].on('data', (part) => {
          parts[name] += part;
        });
      }
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, ...parts }));
      // A guest that does not read leaves its input to nobody.
      child.stdin.on('error', () => {});
      if (options.keepInputOpen) child.stdin.write(options.input ?? '');
      else child.stdin.end(options.input ?? '');
      options.onStart?.(child);
    });
}
