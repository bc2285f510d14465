/**
 * The programs that nobody wrote for us, as the end-to-end tests run them through the command.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLITE_TEXT, fliteArguments, fliteModulePath } from '../programs/flite.ts';
import { QUICKJS_SCRIPTS, quickjsCommand } from '../programs/quickjs.ts';
import { RUBY_SCRIPT, rubyCommand } from '../programs/ruby.ts';
import type { GuestCase } from './guest-cases.ts';

export interface ProgramCase extends GuestCase {
  /** What it prints. */
  readonly expected: RegExp;
  /** Made by the program, or null. */
  readonly file: string | null;
  /**
   * Number of the first host call before which it has drawn all its random numbers and read the clock
   * for the last time; null when it reads a clock to its end.
   */
  readonly decidedFromCall: bigint | null;
}

const PLAIN = {
  args: [],
  options: ['--trap-unknown-imports'],
  lines: null,
  usesFiles: false,
  drawsRandom: false,
  printsAnswers: false,
  file: null,
} as const;

/**
 * Ruby draws once and reads clocks 27 times, all before its first line: 13 of its 48 million units of
 * fuel. QuickJS draws once and reads two clocks at its start. Flite reads the clock when it begins and
 * in its very last call, to tell how fast it was.
 */
export function programCases(scratch: string): readonly ProgramCase[] {
  const said = join(scratch, 'said');
  mkdirSync(said);
  const written = (name: string, bytes: Uint8Array): { name: string; module: string } => {
    const module = join(scratch, `${name}.wasm`);
    writeFileSync(module, bytes);
    return { name, module };
  };
  // Measured pauses of the collector would put times into Ruby's memory to the end.
  const ruby = rubyCommand(`GC.measure_total_time = false\n${RUBY_SCRIPT}`);
  return [
    { ...PLAIN, ...written('ruby', ruby), expected: /^primes 6057\n/, decidedFromCall: 38n },
    {
      ...PLAIN,
      ...written('quickjs', quickjsCommand(QUICKJS_SCRIPTS)),
      expected: /^sorted /,
      decidedFromCall: 3n,
    },
    {
      ...PLAIN,
      name: 'flite',
      module: fliteModulePath(),
      args: fliteArguments(FLITE_TEXT, '/out/said.wav'),
      options: ['--dir', `${said}::/out`],
      expected: /^$/,
      file: join(said, 'said.wav'),
      decidedFromCall: null,
    },
  ];
}

export function contentOf({ file }: ProgramCase): string | null {
  return file === null ? null : readFileSync(file).toString('base64');
}

interface Written {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** All that was written, part after part, as one word to compare. */
export function textOf(parts: readonly Written[]): string {
  return (['stdout', 'stderr'] as const)
    .map((stream) => parts.map((part) => String(part[stream])).join(''))
    .join('|');
}
