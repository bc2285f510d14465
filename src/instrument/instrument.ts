/**
 * Turns a guest's module into one that can be stopped: the only entry for a fresh module.
 *
 * The result has the same exports and behaviour. Beside them it exports what a host needs to capture and
 * restore an instance, under names that begin with `EXPORT_PREFIX` (see `exports.ts`). Its start
 * function is exported and not called: a restore must not run it again.
 */
import { HostError } from '../fault/host-error.ts';
import {
  BRANCH_HINT_SECTION,
  encodeBranchHints,
  type FunctionBranchHints,
} from '../wasm/branch-hints.ts';
import { ByteWriter } from '../wasm/byte-writer.ts';
import { engine } from '../wasm/engine.ts';
import { BODY_BYTES_MAX } from '../wasm/limits.ts';
import { readModule, type WasmModule } from '../wasm/module.ts';
import { SECTION } from '../wasm/section-id.ts';
import { writeModule } from '../wasm/writer.ts';
import { writeAppendedBodies } from './appended-functions.ts';
import { appendSections } from './appended-sections.ts';
import { BodyEmitter } from './body-emitter.ts';
import { planModule } from './call-graph.ts';
import { FunctionScanner } from './function-scan.ts';
import { EXPORT_PREFIX, type Layout, layOut } from './layout.ts';
import { type ModuleFacts, readFacts } from './module-facts.ts';
import { encodePlan, isCaptured, type ModulePlan } from './plan.ts';

export interface Instrumented {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** To be kept beside the bytes: see `plan.ts`. */
  readonly plan: Uint8Array;
}

/**
 * Instruments a core module.
 *
 * - ERR_NOT_WASM, ERR_COMPONENT, ERR_MALFORMED_MODULE: not a module, or cut off, or inconsistent.
 * - ERR_INVALID_MODULE: the engine does not validate it. Checked first: what follows relies on it, since
 *   an index that is out of range in the guest's module might be ours in the new one.
 * - ERR_UNSUPPORTED_FEATURE, ERR_UNKNOWN_IMPORT: valid, but it can't be carried.
 */
export function instrument(bytes: Uint8Array): Instrumented {
  const module = readModule(bytes);
  const facts = readFacts(module);
  validate(bytes);
  for (const { name } of module.exports) {
    if (!name.startsWith(EXPORT_PREFIX)) continue;
    throw new HostError(
      'ERR_UNSUPPORTED_FEATURE',
      `the module exports a name that begins with ${EXPORT_PREFIX}`,
      {
        hint: 'rename the export; this prefix is kept for the host',
      },
    );
  }
  const plan = planModule(facts);
  const layout = layOut(facts, plan);
  return { bytes: assemble(module, facts, plan, layout), plan: encodePlan(plan) };
}

function validate(bytes: Uint8Array): void {
  if (engine.validate(bytes)) return;
  let reason = 'the engine refuses it';
  try {
    new engine.Module(bytes);
  } catch (error) {
    if (error instanceof Error) reason = error.message.replace(/^WebAssembly\.Module\(\): /, '');
  }
  throw new HostError('ERR_INVALID_MODULE', 'the module does not validate', { facts: { reason } });
}

function assemble(
  module: WasmModule,
  facts: ModuleFacts,
  plan: ModulePlan,
  layout: Layout,
): Uint8Array<ArrayBuffer> {
  const { code, hints } = writeCode(facts, plan, layout);
  const sections = appendSections(facts, layout);
  sections.set(SECTION.code, code);
  return writeModule(module, {
    sections,
    // Other custom sections describe code that is no longer where they say.
    keepCustom: (name) => name === 'name',
    addCustom:
      hints.length === 0
        ? []
        : [{ name: BRANCH_HINT_SECTION, content: encodeBranchHints(hints), before: SECTION.code }],
  });
}

function writeCode(
  facts: ModuleFacts,
  plan: ModulePlan,
  layout: Layout,
): { code: Uint8Array[]; hints: FunctionBranchHints[] } {
  const { module } = facts;
  const code = module.sections.find(({ id }) => id === SECTION.code);
  // Room for what most modules grow by; data, of which some have much more, is not written here.
  const out = new ByteWriter(Math.ceil((code?.size ?? 0) * 1.5));
  const body = new ByteWriter(65_536);
  const scan = new FunctionScanner(facts, plan);
  const emitter = new BodyEmitter(facts, plan, layout, scan, body);
  const hints: FunctionBranchHints[] = [];
  out.u32(module.functions.length + layout.functionTypes.length);
  for (let func = facts.importedFunctions; func < facts.functions; func++) {
    body.clear();
    if (isCaptured(plan, func)) {
      scan.scan(func);
      emitter.captured();
      const offsets = emitter.coldBranches.slice();
      if (offsets.length > 0) {
        hints.push({ functionIndex: func, offsets, likely: new Uint8Array(offsets.length) });
      }
    } else emitter.plain(func);
    const bytes = body.view();
    if (bytes.length > BODY_BYTES_MAX) throw tooLarge(func);
    out.u32(bytes.length);
    out.range(bytes, 0, bytes.length);
  }
  writeAppendedBodies(out, facts, plan, layout);
  return { code: [out.view()], hints };
}

function tooLarge(func: number): HostError {
  return new HostError(
    'ERR_UNSUPPORTED_FEATURE',
    `function ${func} is too large to have safepoints put in: the engine takes ${BODY_BYTES_MAX} bytes`,
    { facts: { function: func }, hint: 'build the program with less inlining' },
  );
}
