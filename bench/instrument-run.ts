/**
 * Instruments one program in a process of its own: `node instrument-run.ts NAME ROUNDS`. Prints one line
 * of JSON, an `InstrumentResult`.
 */
import { instrument } from '../src/instrument/instrument.ts';
import { engine } from '../src/wasm/engine.ts';
import { readModule } from '../src/wasm/module.ts';
import { SECTION } from '../src/wasm/section-id.ts';
import { programNamed } from './programs.ts';

export interface InstrumentResult {
  readonly program: string;
  /** Size of the code section, in bytes, before and after. */
  readonly codeBytes: number;
  readonly instrumentedCodeBytes: number;
  /** Processor time of the first time in the process, and of the best, in milliseconds. */
  readonly firstMs: number;
  readonly bestMs: number;
  /** What the engine takes to compile the module, lazily, as it is and instrumented. */
  readonly compileRawMs: number;
  readonly compileMs: number;
}

const [name, rounds] = process.argv.slice(2);
const { bytes: load } = programNamed(name!);
const bytes = load();

/** Processor time of this thread. */
function timed<T>(run: () => T): { readonly ms: number; readonly value: T } {
  const before = process.threadCpuUsage();
  const value = run();
  const { user, system } = process.threadCpuUsage(before);
  return { ms: (user + system) / 1000, value };
}

function codeSize(module: Uint8Array): number {
  return readModule(module).sections.find(({ id }) => id === SECTION.code)!.size;
}

const compileRaw = timed(() => new engine.Module(bytes));
const first = timed(() => instrument(bytes));
const compile = timed(() => new engine.Module(first.value.bytes));
let bestMs = first.ms;
for (let round = 1; round < Number(rounds); round++) {
  bestMs = Math.min(bestMs, timed(() => instrument(bytes)).ms);
}
const result: InstrumentResult = {
  program: name!,
  codeBytes: codeSize(bytes),
  instrumentedCodeBytes: codeSize(first.value.bytes),
  firstMs: first.ms,
  bestMs,
  compileRawMs: compileRaw.ms,
  compileMs: compile.ms,
};
console.log(JSON.stringify(result));
