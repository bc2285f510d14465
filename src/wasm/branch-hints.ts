/**
 * The custom section `metadata.code.branch_hint`: which way conditional branches mostly go.
 *
 * Layout: u32 count of functions, then for each u32 function index and u32 count of hints, then for each
 * hint u32 offset, u32 size (1), and a byte: 1 when the branch is mostly taken, 0 when it mostly is not.
 * An offset points at the `if` or `br_if`, in bytes from the start of the function's body, local
 * declarations included. Functions and offsets rise. The section stands before the code section.
 *
 * Source: branch hinting proposal, "Custom Annotation".
 */
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { FUNCTIONS_MAX } from './limits.ts';
import type { WasmModule } from './module.ts';

export const BRANCH_HINT_SECTION = 'metadata.code.branch_hint';

export interface FunctionBranchHints {
  /** Imports first. */
  readonly functionIndex: number;
  /** Bytes from the start of the body; rising. */
  readonly offsets: ArrayLike<number>;
  /** 1: mostly taken; 0: mostly not. As many as `offsets`. */
  readonly likely: ArrayLike<number>;
}

/** The contents of the section. `functions` rise by index. */
export function encodeBranchHints(functions: readonly FunctionBranchHints[]): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(functions.length);
  for (const { functionIndex, offsets, likely } of functions) {
    writer.u32(functionIndex);
    writer.u32(offsets.length);
    for (let i = 0; i < offsets.length; i++) {
      writer.u32(offsets[i]!);
      writer.u32(1);
      writer.u8(likely[i]!);
    }
  }
  return writer.finish();
}

/**
 * The hints that a module brings; none when it has no such section.
 *
 * Throws `ERR_MALFORMED_MODULE` when the section does not follow its layout. Hints are only hints: a
 * caller that can do without them may go on.
 */
export function readBranchHints(module: WasmModule): FunctionBranchHints[] {
  const section = module.sections.find(({ custom }) => custom?.name === BRANCH_HINT_SECTION);
  if (section?.custom === undefined) return [];
  const end = section.offset + section.size;
  const where = 'the branch hint section';
  const reader = new ByteReader(module.bytes, section.custom.contentStart, end, where);
  const functions: FunctionBranchHints[] = [];
  const count = reader.count(FUNCTIONS_MAX, 2);
  for (let i = 0; i < count; i++) {
    const functionIndex = reader.u32();
    const hints = reader.count(reader.end, 3);
    const offsets = new Uint32Array(hints);
    const likely = new Uint8Array(hints);
    for (let hint = 0; hint < hints; hint++) {
      offsets[hint] = reader.u32();
      if (reader.u32() !== 1) throw reader.refusal('has a hint of unknown size');
      likely[hint] = reader.byte();
      if (likely[hint]! > 1) throw reader.refusal('has a hint of unknown value');
    }
    functions.push({ functionIndex, offsets, likely });
  }
  reader.finish();
  return functions;
}
