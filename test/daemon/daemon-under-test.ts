/**
 * A daemon of the test's own and clients of several users.
 *
 * As root there are two users beside it, with ids that nobody has. As anybody else there is one, oneself: then
 * the tests that need two say so and try the rest.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { DoorAsk } from '../../src/cli/door-protocol.ts';
import { type CliResult, ROOT } from '../cli/run-cli.ts';

/** As built: each connection starts a process of its own, and from source that takes four times as long. */
export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const ASK_MANY = fileURLToPath(new URL('./ask-many.ts', import.meta.url));

export const IS_ROOT = process.getuid?.() === 0;
const SELF = { uid: process.getuid!(), gid: process.getgid!() };

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The same one twice where this process can't be anybody else. */
export const ALICE: User = IS_ROOT ? { uid: 61_001, gid: 61_001 } : SELF;
export const BOB: User = IS_ROOT ? { uid: 61_002, gid: 61_002 } : SELF;

export interface ClientOptions {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly onStart?: (child: ChildProcess) => void;
  /** Where standard output goes, instead of into the result. */
  readonly stdout?: number;
}

export class DaemonUnderTest {
  /** Where everybody may look; what lies in it has modes of its own. */
  readonly scratch = mkdtempSync(join(tmpdir(), 'stasis-daemon-'));
  readonly socket = join(this.scratch, 'run', 's.sock');
  readonly state = join(this.scratch, 'state');
  #child: ChildProcess | null = null;
  readonly told: string[] = [];

  constructor() {
    chmodSync(this.scratch, 0o755);
    for (const user of [ALICE, BOB]) mkdirSync(this.homeOf(user), { recursive: true, mode: 0o777 });
    for (const user of [ALICE, BOB]) chmodSync(this.homeOf(user), 0o777);
    afterAll(async () => {
      for (const user of [ALICE, BOB]) {
        const { stdout } = await this.ask(user, ['ps', '--json']).catch(() => ({ stdout: '' }));
        const { jobs = [] } = JSON.parse(stdout || '{}') as { jobs?: { job: string }[] };
        for (const { job } of jobs) await this.ask(user, ['rm', '--force', job]);
      }
      await this.stop();
      rmSync(this.scratch, { recursive: true, force: true });
    });
  }

  homeOf({ uid }: User): string {
    return join(this.scratch, `home-${uid}`);
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Resolves when it listens. */
  async start(
    words: readonly string[] = [],
    environment: Record<string, string> = {},
  ): Promise<void> {
    const child = spawn(
      process.execPath,
      [MAIN, 'daemon', '--socket', this.socket, '--state', this.state, ...words],
      {
        cwd: ROOT,
        env: { PATH: process.env['PATH'], ...environment },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      createInterface(child.stderr!).on('line', (line) => {
        this.told.push(line);
        if (line.startsWith('stasis: listening')) resolve();
      });
      child.once('exit', () => reject(new Error(`the daemon ended: ${this.told.join('\n')}`)));
    });
  }

  /** By SIGTERM; resolves with its exit status. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return null;
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return ended;
  }

  /** What that user is told to each question, without a command in between. */
  async askAll(user: User, asks: readonly DoorAsk[]): Promise<Record<string, unknown>[]> {
    const input = JSON.stringify(asks);
    const { stdout, stderr } = await this.#spawn(user, [ASK_MANY, this.socket], { input });
    if (stderr !== '') throw new Error(stderr);
    return JSON.parse(stdout);
  }

  /** A command of that user's. */
  ask(user: User, words: readonly string[], options: ClientOptions = {}): Promise<CliResult> {
    return this.#spawn(user, [MAIN, ...words], options);
  }

  #spawn(user: User, words: readonly string[], options: ClientOptions): Promise<CliResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, words, {
        stdio: ['pipe', options.stdout ?? 'pipe', 'pipe'],
        ...(IS_ROOT ? user : {}),
        cwd: options.cwd ?? ROOT,
        env: {
          PATH: process.env['PATH'],
          STASIS_HOME: join(this.homeOf(user), 'state'),
          STASIS_HOST: `unix:${this.socket}`,
          ...options.env,
        },
      });
      const parts = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const) {
        child[name]?.setEncoding('utf8');
        child[name]?.on('data', (part) => {
          parts[name] += part;
        });
      }
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, ...parts }));
      child.stdin!.on('error', () => {});
      child.stdin!.end(options.input ?? '');
      options.onStart?.(child);
    });
  }
}
