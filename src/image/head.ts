/**
 * Reader and writer of an image's head: one map of deterministic CBOR, laid out field by field as
 * `ImageHead` in `image.ts` and, for readers of bytes, in `docs/format/image.md`.
 *
 * On disk two things differ from the type, since CBOR integers carry no width: a pending call's arguments
 * are pairs [32 or 64, value], and counters are integers of any size.
 *
 * Invariants:
 * 1. What `decodeImageHead` gives back is consistent in itself: runs of present pages are ascending,
 *    apart from each other and within their memory; words are whole; a table's entries are as many as its
 *    size. Whether it fits a module is for the restore to check.
 * 2. A refusal names the field, never what was in it.
 */
import { type CborValue, LARGEST_INTEGER, SMALLEST_INTEGER } from '../cbor/cbor.ts';
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import {
  anyValue,
  arrayOf,
  bytes,
  checkShape,
  integer,
  mapOf,
  mismatch,
  nullable,
  oneOf,
  type Shape,
  text,
  tupleOf,
  u64,
  wideInteger,
} from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { IMAGE_FORMAT, type ImageHead, type ImageMemory, type ImageTable } from './image.ts';

/** Tables may have ten million entries and more; memory stays bounded by the head's own length. */
const LIMITS = { depthMax: 64, itemsMax: 2 ** 25 } as const;
const U32_MAX = 0xffff_ffff;
const NAME_LENGTH_MAX = 65_536;

const index = integer(0, U32_MAX);
const refs = arrayOf(nullable(index));

const words: Shape<Uint8Array> = (value) => {
  const found = bytes()(value);
  if (found.length % 4 !== 0) throw mismatch('a whole number of 32-bit words');
  return found;
};

const pendingArgument: Shape<number | bigint> = (value) => {
  if (!Array.isArray(value) || value.length !== 2) throw mismatch('a width and a value');
  if (value[0] === 32) return integer(-0x8000_0000, U32_MAX)(value[1]);
  if (value[0] === 64) return wideInteger(SMALLEST_INTEGER, LARGEST_INTEGER)(value[1]);
  throw mismatch('a width of 32 or 64 and a value');
};

/** A memory's size and which of its pages are present, consistent in itself. */
export const imageMemory: Shape<ImageMemory> = (value) => {
  const found = mapOf({ sizePages: index, present: arrayOf(tupleOf(index, index)) })(value);
  let free = 0;
  for (const [first, count] of found.present) {
    if (count === 0 || first < free || first + count > found.sizePages) {
      throw mismatch('a list of ascending runs of pages within the memory');
    }
    // Runs that touch would be one run: two spellings of one image.
    free = first + count + 1;
  }
  return found;
};

const table: Shape<ImageTable> = (value) => {
  const found = mapOf({ size: index, entries: nullable(refs) })(value);
  if (found.entries !== null && found.entries.length !== found.size) {
    throw mismatch('a table with as many entries as its size');
  }
  return found;
};

const imageHead = mapOf({
  format: oneOf(IMAGE_FORMAT),
  stack: mapOf({
    frames: arrayOf(mapOf({ func: index, site: index, words, refs })),
    pending: nullable(
      mapOf({
        module: text(NAME_LENGTH_MAX),
        name: text(NAME_LENGTH_MAX),
        args: arrayOf(pendingArgument),
        progress: anyValue,
      }),
    ),
  }),
  memories: arrayOf(imageMemory),
  globals: mapOf({ words, refs }),
  tables: arrayOf(table),
  counters: mapOf({ fuel: u64, calls: u64 }),
  handles: arrayOf(anyValue),
  providers: arrayOf(mapOf({ kind: text(NAME_LENGTH_MAX), version: index, state: anyValue })),
});

/** The head's bytes: the same head gives the same bytes. */
export function encodeImageHead(head: ImageHead): Uint8Array {
  const { format, stack, memories, globals, tables, counters, handles, providers } = head;
  const { pending } = stack;
  return encodeCbor({
    format,
    stack: {
      frames: stack.frames.map(({ func, site, words, refs }) => ({ func, site, words, refs })),
      pending:
        pending === null
          ? null
          : { ...pending, args: pending.args.map((arg) => spellArgument(arg)) },
    },
    memories: memories.map(({ sizePages, present }) => ({ sizePages, present })),
    globals: { words: globals.words, refs: globals.refs },
    tables: tables.map(({ size, entries }) => ({ size, entries })),
    counters: { fuel: counters.fuel, calls: counters.calls },
    handles,
    providers: providers.map(({ kind, version, state }) => ({ kind, version, state })),
  });
}

function spellArgument(argument: number | bigint): CborValue {
  return [typeof argument === 'number' ? 32 : 64, argument];
}

/**
 * The head that `encoded` holds; byte strings in it alias `encoded`.
 *
 * Throws ERR_MALFORMED_IMAGE for bytes that are not a head of format 1, or one at odds with itself.
 */
export function decodeImageHead(encoded: Uint8Array): ImageHead {
  let value: CborValue;
  try {
    value = decodeCbor(encoded, LIMITS);
  } catch (cause) {
    throw new HostError('ERR_MALFORMED_IMAGE', "The image's head is not well-formed CBOR.", {
      cause,
    });
  }
  return checkShape(imageHead, value, { what: "image's head", code: 'ERR_MALFORMED_IMAGE' });
}

/** How many pages the head says are present, over all memories: the image's pages are 64 KiB times this. */
export function presentPageCount(head: Pick<ImageHead, 'memories'>): number {
  let total = 0;
  for (const { present } of head.memories) for (const [, count] of present) total += count;
  return total;
}
