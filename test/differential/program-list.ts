/** Programs that are run on every layer: our guests, and three that nobody wrote for us. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readModule } from '../../src/wasm/module.ts';
import { ROOT } from '../e2e/stasis-command.ts';
import { presentModules } from '../guests/built-modules.ts';
import { fliteArguments, fliteModule } from '../programs/flite.ts';
import { QUICKJS_SCRIPTS, quickjsCommand } from '../programs/quickjs.ts';
import { rubyCommand } from '../programs/ruby.ts';
import type { ProgramOptions } from './run-program.ts';

export interface Program extends ProgramOptions {
  readonly bytes: () => Uint8Array<ArrayBuffer>;
}

const LINES = Array.from({ length: 10 }, (_, at) => `${at + 1} a line\n`).join('');

const GUEST_OPTIONS: Readonly<Record<string, ProgramOptions>> = {
  'blocked-stdin': { stdin: LINES },
  'directory-walk': { args: ['1'] },
  nqueens: { args: ['8'] },
  'open-files': { readsBack: 'open-files-records' },
  'sleeping-poll': { args: ['3'] },
};

/**
 * Kernels only compute. What is made to trap is held to the engine itself (test/e2e/traps). What listens has nobody to
 * connect to it here; other calls are ours alone.
 */
function isComparable(name: string): boolean {
  if (name.startsWith('kernels/') || name === 'examples/traps') return false;
  return readModule(guestBytes(name)).imports.every(
    ({ module, name: imported }) =>
      (module === 'wasi_snapshot_preview1' && imported !== 'sock_accept') ||
      (module === 'stasis' && imported === 'checkpoint'),
  );
}

function guestBytes(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(join(ROOT, 'guests', 'build', `${name}.wasm`)));
}

const FILES = `
Dir.mkdir('/data/made')
File.write('/data/made/one', 'first line' + 10.chr + 'second')
File.open('/data/made/one', 'r+') { |file| file.seek(6); file.write('LINE') }
File.open('/data/made/one', 'a') { |file| file.write('!') }
puts File.read('/data/made/one').inspect, File.size('/data/made/one')
File.rename('/data/made/one', '/data/made/two')
puts Dir.children('/data/made').sort.inspect
puts File.exist?('/data/made/one'), File.stat('/data/made').directory?
begin
  File.open('/data/none')
rescue SystemCallError => error
  puts error.class
end
File.delete('/data/made/two')
Dir.rmdir('/data/made')
puts Dir.exist?('/data/made')
`;

export const PROGRAMS: Readonly<Record<string, Program>> = {
  ...Object.fromEntries(
    presentModules()
      .filter(isComparable)
      .map((name) => [
        name,
        {
          bytes: () => guestBytes(name),
          ...GUEST_OPTIONS[name],
        },
      ]),
  ),
  quickjs: { bytes: () => quickjsCommand(QUICKJS_SCRIPTS.slice(0, 2)) },
  flite: {
    bytes: fliteModule,
    args: fliteArguments('A promise.', '/data/said.wav'),
    readsBack: 'said.wav',
  },
  'ruby, computing': { bytes: () => rubyCommand("puts (1..20).map { |n| n * n }.sum, 'äöü'.size") },
  'ruby, with files': { bytes: () => rubyCommand(FILES) },
};
