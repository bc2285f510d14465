/**
 * From the bytes that a cell is started with to a module that can be instantiated.
 */
import { createHash } from 'node:crypto';
import { HostError } from '../fault/host-error.ts';
import { type EngineModule, engine } from '../wasm/engine.ts';
import { readModule, type WasmModule } from '../wasm/module.ts';
import { readCodeSection } from '../wasm/section-code.ts';
import { SECTION } from '../wasm/section-id.ts';
import { readSections } from '../wasm/sections.ts';
import type { CellMessage, StartMessage } from './protocol.ts';

/** A guest's own module, its plan, and the instrumented one compiled. */
export interface LoadedModule {
  readonly module: WasmModule;
  readonly plan: Uint8Array;
  readonly compiled: EngineModule;
  /** Where bodies begin in the instrumented module, by defined function. */
  readonly bodyStart: Uint32Array;
}

/**
 * Loads the module that came with `start`; what had to be made for it is reported, so that the host can
 * keep it for the next run.
 */
export async function loadModule(
  start: StartMessage,
  attachments: readonly Uint8Array[],
  report: (message: CellMessage, attachments: readonly Uint8Array<ArrayBuffer>[]) => void,
): Promise<LoadedModule> {
  const bytes = attachments[0]!;
  const module = readModule(bytes);
  if (start.cached) {
    const [, instrumented, plan] = attachments;
    const compiled = compile(instrumented!);
    return { module, plan: plan!, compiled, bodyStart: bodyStarts(instrumented!) };
  }
  const { instrument } = await import('../instrument/instrument.ts');
  const made = instrument(bytes);
  checkInstrumented(made.bytes, start.instrumented);
  const compiled = compile(made.bytes);
  const bodyStart = bodyStarts(made.bytes);
  report({ type: 'instrumented' }, [made.bytes, made.plan.slice()]);
  return { module, plan: made.plan, compiled, bodyStart };
}

/** A plan that differs by anything would put the wrong values into the right places. */
function checkInstrumented(bytes: Uint8Array, wanted: string | null): void {
  if (wanted === null) return;
  const made = createHash('sha256').update(bytes).digest('hex');
  if (made === wanted) return;
  throw new HostError(
    'ERR_SOFTWARE_MISMATCH',
    'The checkpoint belongs to other software: the instrumented module differs.',
    {
      facts: { 'instrumented module sealed': wanted, 'instrumented module now': made },
      hint: 'restore it with the version that sealed it, or run the job from its start',
    },
  );
}

function bodyStarts(instrumented: Uint8Array): Uint32Array {
  const code = readSections(instrumented).find(({ id }) => id === SECTION.code)!;
  return readCodeSection(instrumented, code.offset, code.offset + code.size).bodyStart;
}

/** The guest's own module is valid; ours can still be beyond what the engine takes, above all in size. */
function compile(bytes: Uint8Array): EngineModule {
  try {
    return new engine.Module(bytes);
  } catch (error) {
    if (!(error instanceof engine.CompileError)) throw error;
    throw new HostError(
      'ERR_UNSUPPORTED_FEATURE',
      'The engine refuses the module once safepoints are in it.',
      {
        facts: { reason: error.message },
        hint: 'build the program with smaller functions, for example with less inlining',
      },
    );
  }
}
