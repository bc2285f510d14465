/** Tells a core module from everything else that people hand to a wasm runtime by mistake. */
import { HostError } from '../fault/host-error.ts';
import { malformed } from './malformed.ts';

/** Bytes of magic number and version. */
export const HEADER_BYTES = 8;

const BUILD_HINT =
  'give a WASI module, such as `clang --target=wasm32-wasi` or `cargo build --target wasm32-wasip1` makes';

interface FileKind {
  /** The bytes that such a file begins with; text as ASCII. */
  readonly begins: readonly (string | readonly number[])[];
  readonly looksLike: string;
  readonly hint: string;
}

const KINDS: readonly FileKind[] = [
  {
    begins: [
      '\x7fELF',
      [0xcf, 0xfa, 0xed, 0xfe],
      [0xce, 0xfa, 0xed, 0xfe],
      [0xca, 0xfe, 0xba, 0xbe],
    ],
    looksLike: 'a native program or library',
    hint: BUILD_HINT,
  },
  { begins: ['MZ'], looksLike: 'a Windows program', hint: BUILD_HINT },
  { begins: [[0x1f, 0x8b]], looksLike: 'a gzip file', hint: 'unpack it first, with `gunzip`' },
  {
    begins: [[0x28, 0xb5, 0x2f, 0xfd]],
    looksLike: 'a zstd file',
    hint: 'unpack it first, with `zstd -d`',
  },
  { begins: ['PK'], looksLike: 'a zip archive', hint: 'unpack it first, with `unzip`' },
  {
    begins: ['BC\xc0\xde'],
    looksLike: 'LLVM bitcode',
    hint: 'link it into a module first, with `wasm-ld`',
  },
  {
    begins: ['!<arch>'],
    looksLike: 'a library archive',
    hint: 'link it into a module first, with `wasm-ld`',
  },
  { begins: ['#!'], looksLike: 'a script', hint: 'give the module that the script runs' },
  {
    begins: ['version https://git-lfs'],
    looksLike: 'a pointer to a file in Git LFS',
    hint: 'fetch the file itself, with `git lfs pull`',
  },
  {
    begins: ['<!doctype', '<!DOCTYPE', '<html', '<?xml'],
    looksLike: 'a web page',
    hint: 'a download may have gone wrong; fetch the module again',
  },
];

/** How much of a file is looked at to tell text from binary. */
const SAMPLE_BYTES = 512;

/**
 * Lets a core module of version 1 pass.
 *
 * - ERR_COMPONENT: a component, which a core runtime can't run.
 * - ERR_NOT_WASM: something else; the sentence says what it looks like.
 * - ERR_MALFORMED_MODULE: a module of another version.
 */
export function checkHeader(bytes: Uint8Array): void {
  if (!beginsWith(bytes, '\0asm')) throw notWasm(bytes);
  if (bytes.length < HEADER_BYTES) {
    throw malformed('the header', bytes.length, 'is cut off');
  }
  const version = bytes[4]! | (bytes[5]! << 8);
  const layer = bytes[6]! | (bytes[7]! << 8);
  if (layer === 1) {
    throw new HostError('ERR_COMPONENT', 'the file is a component, not a core module', {
      facts: { version },
      hint: 'build for WASI preview 1 (`--target=wasm32-wasip1`), or take the core module out of it',
    });
  }
  if (version !== 1 || layer !== 0) {
    throw malformed(
      'the header',
      4,
      `states version ${version} in layer ${layer}, not 1 in layer 0`,
    );
  }
}

function notWasm(bytes: Uint8Array): HostError {
  const { looksLike, hint } = describe(bytes);
  return new HostError('ERR_NOT_WASM', `the file is not a wasm module: it ${looksLike}`, {
    facts: { bytes: bytes.length },
    hint,
  });
}

function describe(bytes: Uint8Array): { looksLike: string; hint: string } {
  if (bytes.length === 0) return { looksLike: 'is empty', hint: BUILD_HINT };
  const kind = KINDS.find(({ begins }) => begins.some((prefix) => beginsWith(bytes, prefix)));
  if (kind !== undefined) return { looksLike: `looks like ${kind.looksLike}`, hint: kind.hint };
  const text = textOf(bytes.subarray(0, SAMPLE_BYTES));
  if (text === undefined)
    return { looksLike: 'looks like some other binary file', hint: BUILD_HINT };
  if (/^\(\s*(module|component)\b/.test(text.slice(endOfBlank(text)))) {
    return {
      looksLike: 'looks like the text format of one',
      hint: 'translate it first, with `wat2wasm` or `wasm-tools parse`',
    };
  }
  return { looksLike: 'looks like plain text', hint: BUILD_HINT };
}

/** Where white space and comments of the text format end; block comments nest. */
function endOfBlank(text: string): number {
  let at = 0;
  let depth = 0;
  while (at < text.length) {
    const pair = text.slice(at, at + 2);
    if (pair === '(;') depth++;
    else if (pair === ';)' && depth > 0) depth--;
    else if (pair === ';;' && depth === 0) {
      const newline = text.indexOf('\n', at);
      if (newline < 0) return text.length;
      at = newline + 1;
      continue;
    } else if (depth > 0 || /\s/.test(pair.charAt(0))) {
      at++;
      continue;
    } else return at;
    at += 2;
  }
  return at;
}

/** The sample as a string when it is printable ASCII and white space throughout. */
function textOf(sample: Uint8Array): string | undefined {
  const printable = sample.every(
    (byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 9 && byte <= 13),
  );
  return printable ? String.fromCharCode(...sample) : undefined;
}

function beginsWith(bytes: Uint8Array, prefix: string | readonly number[]): boolean {
  const expected =
    typeof prefix === 'string' ? Array.from(prefix, (letter) => letter.charCodeAt(0)) : prefix;
  return expected.every((byte, i) => bytes[i] === byte);
}
