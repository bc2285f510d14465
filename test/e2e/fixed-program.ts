/**
 * The built program in a world where time stands still and chance is always the same.
 *
 * Clock readings and random numbers stay in a guest's memory, so that two runs of Ruby never end alike:
 * neither do an undisturbed run and one that was killed and restored. Both come in through one file each
 * and are handed down from there (`src/cell/wall-clock.ts`, `src/cell/randomness.ts`). This makes a copy
 * of the program in which these two files give a guest constants, and nothing else is changed but where a
 * constant would not do: no option, message or variable of the product leads here. Keys, nonces, names and
 * the dates of jobs and checkpoints are those of the real program.
 *
 * The answers must not depend on how often was asked: a restored guest would be told others than one
 * that ran through. So a guest that waits for its clock waits for ever here.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './stasis-command.ts';

/** 2026-11-23T12:00:00Z */
const NOON_NS = 1_795_435_200_000_000_000n;

/** Functions of the built program, by name, and what they do here. */
const RANDOMNESS = {
  fillFresh: 'for (let at = 0; at < into.length; at++) into[at] = (at * 167 + 13) & 0xff;',
};
const CLOCK = {
  wallClockNs: `return ${NOON_NS}n;`,
  monotonicNs: 'return 1000000000n;',
  threadCpuNs: 'return 1000000n;',
};
/** Each run has to have another generation, and draws until it does; nobody asks for it here. */
const GENERATION = {
  drawGeneration: 'return process.hrtime.bigint();',
};

/** Makes the copy, where it finds the packages that the program needs, and returns its place. */
export function makeFixedProgram(): string {
  const place = join(ROOT, '.tmp');
  mkdirSync(place, { recursive: true });
  const directory = mkdtempSync(join(place, 'fixed-program-'));
  for (const part of ['bin', 'dist', 'package.json']) {
    cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  }
  replaceBodies(join(directory, 'dist'), { ...RANDOMNESS, ...CLOCK, ...GENERATION });
  return directory;
}

/** In every file that has such a function: the programs that `dist` holds share their source, not their files. */
function replaceBodies(directory: string, bodies: Readonly<Record<string, string>>): void {
  const missing = new Set(Object.keys(bodies));
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.js')) continue;
    const file = join(directory, name);
    const before = readFileSync(file, 'utf8');
    let text = before;
    for (const [name, body] of Object.entries(bodies)) {
      const pattern = new RegExp(`(function ${name}\\([a-z]*\\) \\{).*?\\n\\}\\n`, 's');
      text = text.replace(pattern, (_, head: string) => {
        missing.delete(name);
        return `${head} ${body} }\n`;
      });
    }
    if (text !== before) writeFileSync(file, text);
  }
  assert.deepEqual([...missing], [], 'the program has these functions');
}
