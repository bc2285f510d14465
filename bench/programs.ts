/** The modules that the benchmark measures beside the kernels, and how to run them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLITE_TEXT, fliteArguments, fliteModule } from '../test/programs/flite.ts';
import { QUICKJS_SCRIPTS, quickjsCommand } from '../test/programs/quickjs.ts';
import { RUBY_SCRIPT, rubyCommand } from '../test/programs/ruby.ts';

export interface Program {
  readonly name: string;
  readonly bytes: () => Uint8Array<ArrayBuffer>;
  readonly args: readonly string[];
}

const GUESTS = join(import.meta.dirname, '..', 'guests', 'build');

/** So often that a program of a fraction of a second can be stopped many times. */
const AGAIN = 6;

function again(texts: readonly string[]): readonly string[] {
  return Array.from({ length: AGAIN }, () => texts).flat();
}

function guest(name: string, ...args: string[]): Program {
  const bytes = (): Uint8Array<ArrayBuffer> =>
    new Uint8Array(readFileSync(join(GUESTS, `${name}.wasm`)));
  return { name: [name, ...args].join(' '), bytes, args };
}

const RUBY: Program = { name: 'Ruby', bytes: () => rubyCommand(RUBY_SCRIPT), args: [] };
const QUICKJS: Program = {
  name: 'QuickJS',
  bytes: () => quickjsCommand([...QUICKJS_SCRIPTS, ...again(QUICKJS_SCRIPTS.slice(1))]),
  args: [],
};
const FLITE: Program = {
  name: 'Flite',
  bytes: fliteModule,
  args: fliteArguments(again([FLITE_TEXT]).join(' '), '/out/said.wav'),
};

/** From large to small. */
export const INSTRUMENTED: readonly Program[] = [RUBY, QUICKJS, FLITE, guest('rust-collections')];

/** Each computes for a second or more; the third has 64 MB of heap in use. */
export const PAUSED: readonly Program[] = [
  guest('nqueens', '12'),
  guest('kernels/strings'),
  guest('heap', '72', '4000'),
  QUICKJS,
  FLITE,
  RUBY,
];

export function programNamed(name: string): Program {
  const found = [...INSTRUMENTED, ...PAUSED].find((program) => program.name === name);
  if (found === undefined) throw new Error(`no program is named ${name}`);
  return found;
}
