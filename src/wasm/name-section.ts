/**
 * Function names from the `name` section.
 *
 * Layout: subsections: a byte for the kind, a u32 size, contents. Kind 1 holds u32 count and that many of
 * a u32 function index and a name.
 *
 * Names are hints from an untrusted file: garbage yields no name, never an error, and a name can hold
 * any character, so whoever shows one has to escape it.
 */
import { readU32At, skipLeb } from './leb.ts';
import type { WasmModule } from './module.ts';

const FUNCTION_NAMES = 1;

/** Longer names are cut, in bytes. */
const NAME_BYTES_MAX = 512;

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** The name of a function, by its index with imports first; undefined where there is none. */
export type FunctionNames = (functionIndex: number) => string | undefined;

/**
 * Prepares to look names up; the section is not read before the first name is asked for.
 *
 * Memory: four bytes for each function of the module, once a name was asked for.
 */
export function functionNames(module: WasmModule): FunctionNames {
  let places: Uint32Array | undefined;
  return (functionIndex) => {
    places ??= findNames(module);
    const at = places[functionIndex];
    if (at === undefined || at === 0) return undefined;
    const { bytes } = module;
    const start = skipLeb(bytes, at);
    const length = Math.min(readU32At(bytes, at), NAME_BYTES_MAX);
    return utf8.decode(bytes.subarray(start, start + length));
  };
}

/** Where each function's name stands in the file, by function; 0 for none. */
function findNames(module: WasmModule): Uint32Array {
  const { bytes } = module;
  const imported = module.imports.filter(({ kind }) => kind === 'func').length;
  const places = new Uint32Array(imported + module.functions.length);
  const section = module.sections.find(({ custom }) => custom?.name === 'name');
  if (section?.custom === undefined) return places;
  const end = section.offset + section.size;
  for (let at = section.custom.contentStart; at < end; ) {
    const contents = skipLeb(bytes, at + 1);
    const next = contents + readU32At(bytes, at + 1);
    if (bytes[at] === FUNCTION_NAMES && next <= end) placeNames(bytes, contents, next, places);
    at = next;
  }
  return places;
}

function placeNames(bytes: Uint8Array, start: number, end: number, places: Uint32Array): void {
  let at = skipLeb(bytes, start);
  for (let left = readU32At(bytes, start); left > 0 && at < end; left--) {
    const functionIndex = readU32At(bytes, at);
    const name = skipLeb(bytes, at);
    const next = skipLeb(bytes, name) + readU32At(bytes, name);
    if (next > end) return;
    if (functionIndex < places.length) places[functionIndex] = name;
    at = next;
  }
}
