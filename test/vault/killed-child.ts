/** Processes that work on a vault until they are killed, and the lines that they wrote. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export interface Running {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly ended: Promise<unknown>;
  /** Whole lines that it wrote. */
  lines(): string[];
  /** The line number `at`, counted from 0, once it has come; rejects when the process ends without it. */
  line(at: number): Promise<string>;
  onLine(hear: (line: string) => void): void;
}

/** Starts `script`, which lies beside this file. */
export function startChild(script: string, args: readonly string[]): Running {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  let heard = 0;
  const hearers: ((line: string) => void)[] = [];
  // One that ends by itself would be waited for in vain.
  const failed = once(child, 'exit').then(([status]) => {
    if (status !== null) throw new Error(`${script} ended with ${status}`);
  });
  const ended = Promise.all([once(child, 'close'), failed]);
  // Who waits for it hears of it; nobody has to.
  ended.catch(() => undefined);
  const lines = (): string[] => text.split('\n').slice(0, -1);
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    for (const line of lines().slice(heard)) {
      heard++;
      for (const hear of hearers) hear(line);
    }
  });
  return {
    child,
    ended,
    lines,
    line: (at) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (heard > at) resolve(lines()[at]!);
        };
        hearers.push(look);
        ended.then(() => reject(new Error(`${script} ended after ${heard} lines`)), reject);
        look();
      }),
    onLine: (hear) => hearers.push(hear),
  };
}
