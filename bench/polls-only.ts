/**
 * An instrumented module without the way to unwind: the same polls in the same places, nothing else.
 *
 * It is what Binaryen's Asyncify is run on, so that both techniques pay for the same safepoints. A body
 * is taken out of the wrapper that `body-emitter.ts` puts around it; the branch depths inside stay right,
 * because the function's own label takes the place of the wrapper's.
 */
import { skipDead } from '../src/instrument/dead-code.ts';
import { skipLocals } from '../src/instrument/module-facts.ts';
import {
  BRANCH_HINT_SECTION,
  encodeBranchHints,
  readBranchHints,
} from '../src/wasm/branch-hints.ts';
import { ByteWriter } from '../src/wasm/byte-writer.ts';
import { skipLeb } from '../src/wasm/leb.ts';
import { readModule } from '../src/wasm/module.ts';
import { OP } from '../src/wasm/opcodes.ts';
import { SECTION } from '../src/wasm/section-id.ts';
import { EMPTY_BLOCK } from '../src/wasm/value-type.ts';
import { writeModule } from '../src/wasm/writer.ts';

/** Takes the wrappers out of a module that `instrument` made. */
export function withoutUnwinding(instrumented: Uint8Array): Uint8Array<ArrayBuffer> {
  const module = readModule(instrumented);
  const { bytes, bodyStart, bodyEnd } = module;
  const imported = module.imports.filter(({ kind }) => kind === 'func').length;
  const headers = new Map<number, number>();
  const code = new ByteWriter(bytes.length);
  code.u32(bodyStart.length);
  for (let index = 0; index < bodyStart.length; index++) {
    const start = bodyStart[index]!;
    const end = bodyEnd[index]!;
    const first = skipLocals(bytes, start);
    const inner = behindWrapper(bytes, first);
    if (inner < 0) {
      code.u32(end - start);
      code.range(bytes, start, end);
      continue;
    }
    headers.set(imported + index, inner - first);
    const innerEnd = skipDead(bytes, inner, end) + 1;
    code.u32(first - start + innerEnd - inner);
    code.range(bytes, start, first);
    code.range(bytes, inner, innerEnd);
  }
  const hints = readBranchHints(module).map(({ functionIndex, offsets, likely }) => ({
    functionIndex,
    offsets: Uint32Array.from(offsets, (at) => at - (headers.get(functionIndex) ?? 0)),
    likely,
  }));
  return writeModule(module, {
    sections: new Map([[SECTION.code, code.view()]]),
    keepCustom: () => false,
    addCustom: [
      { name: BRANCH_HINT_SECTION, content: encodeBranchHints(hints), before: SECTION.code },
    ],
  });
}

/** The offset behind `block; try_table (catch …)`, or -1 where a body begins otherwise. */
function behindWrapper(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== OP.block || bytes[at + 1] !== EMPTY_BLOCK) return -1;
  if (bytes[at + 2] !== OP.try_table) return -1;
  // Block type, then one clause: its kind (0, a catch), its tag, its label.
  const clauses = skipLeb(bytes, at + 3);
  return skipLeb(bytes, skipLeb(bytes, clauses + 2));
}
