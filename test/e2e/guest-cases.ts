/**
 * The committed guests as the end-to-end tests run them: arguments, input, and what of a run must be
 * the same each time.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { join } from 'node:path';
import { NEED_PROVIDERS, presentModules } from '../guests/built-modules.ts';
import { ROOT } from './stasis-command.ts';

export interface GuestCase {
  readonly name: string;
  readonly module: string;
  readonly args: readonly string[];
  /** Of the command, besides. */
  readonly options: readonly string[];
  /** What it reads from stdin, a line at a time; null when it reads nothing. */
  readonly lines: readonly string[] | null;
  /** Needs a directory at /data. */
  readonly usesFiles: boolean;
  /** It draws random numbers, once: two runs are the same only from there on. */
  readonly drawsRandom: boolean;
  /** It prints what the host answered, `checkpointed` or `restarted`. */
  readonly printsAnswers: boolean;
}

const LINES = Array.from({ length: 10 }, (_, at) => `${at + 1} a line\n`);
const USES_FILES: readonly string[] = ['directory-walk', 'open-files'];
/** Shorter than by default where a run is repeated from a hundred places. */
const ARGS: Readonly<Record<string, readonly string[]>> = { 'sleeping-poll': ['10'] };

/**
 * Every guest but the kernels, which hold no other state than these, those that need a pool, and the one that
 * needs its files rolled back, which `rollback.test.ts` runs.
 */
export const GUEST_CASES: readonly GuestCase[] = presentModules()
  .filter((name) => !/^(examples|kernels|kv|pools)\//.test(name) && name !== 'append-records')
  .map((name) => ({
    name,
    module: join(ROOT, 'guests', 'build', `${name}.wasm`),
    args: ARGS[name] ?? [],
    options: (NEED_PROVIDERS[name] ?? []).map((word) =>
      word.startsWith('-') ? word : join(ROOT, word),
    ),
    lines: name === 'blocked-stdin' ? LINES : null,
    usesFiles: USES_FILES.includes(name),
    drawsRandom: name === 'rust-collections',
    printsAnswers: name === 'self-checkpoint',
  }));

/**
 * Writes each line when the guest has echoed all lines before it, so that one read gets one line
 * wherever the guest was stopped. `echoed` and `taken` lines were so before. Then comes the end, unless
 * the input stays `open`.
 */
export function feedInStep(
  lines: readonly string[],
  { echoed, taken, open }: InputSoFar & { readonly open?: boolean },
) {
  return (child: ChildProcessWithoutNullStreams): void => {
    let seen = echoed;
    let next = taken;
    const feed = (): void => {
      if (seen < next) return;
      if (next < lines.length) child.stdin.write(lines[next++]!);
      else if (open !== true) child.stdin.end();
    };
    child.stdout.on('data', (part: Buffer) => {
      for (const byte of part) if (byte === NEWLINE) seen += 1;
      feed();
    });
    feed();
  };
}

const NEWLINE = 0x0a;

/** How far a guest had got with its input when it was stopped. */
export interface InputSoFar {
  /** Lines that it answered. */
  readonly echoed: number;
  /** Lines that it read. */
  readonly taken: number;
}
