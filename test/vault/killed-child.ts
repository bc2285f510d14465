/** Processes that work on a vault until they are killed, and the lines that they wrote. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export interface Running {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  /** Its first line has come. */
  readonly started: Promise<unknown>;
  readonly ended: Promise<unknown>;
  /** Whole lines that it wrote. */
  lines(): string[];
  onLine(hear: (line: string) => void): void;
}

/** Starts `script`, which lies beside this file. */
export function startChild(script: string, args: readonly string[]): Running {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  let heard = 0;
  let hear: (line: string) => void = () => undefined;
  // One that ends by itself would be waited for in vain.
  const failed = once(child, 'exit').then(([status]) => {
    if (status !== null) throw new Error(`${script} ended with ${status}`);
  });
  const ended = Promise.all([once(child, 'close'), failed]);
  // Who waits for one of them hears of it; nobody waits for all.
  for (const promise of [failed, ended]) promise.catch(() => undefined);
  const lines = (): string[] => text.split('\n').slice(0, -1);
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    for (const line of lines().slice(heard)) {
      heard++;
      hear(line);
    }
  });
  return {
    child,
    started: Promise.race([once(child.stdout, 'data'), failed]),
    ended,
    lines,
    onLine: (next) => {
      hear = next;
    },
  };
}
