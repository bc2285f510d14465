/** Runs a module as it is, without the pass: the judge of what the instrumented one must do. */
import assert from 'node:assert/strict';
import { type EngineInstance, engine, type WasmFunction } from '../../src/wasm/engine.ts';
import { readModule } from '../../src/wasm/module.ts';
import { type Ending, endOfError, isFinal, type TrialOptions } from './trial.ts';
import { type HostState, hostFunction } from './wasi-stand-in.ts';

/** Calls the entries of a fresh instance. Its start function must not need the memory. */
export function runRaw(
  bytes: Uint8Array<ArrayBuffer>,
  options: Pick<TrialOptions, 'entries' | 'args'> & {
    readonly onThrown?: (error: unknown) => void;
  } = {},
): Pick<Ending, 'ends' | 'output' | 'calls'> {
  const module = readModule(bytes);
  const host: HostState = { args: ['guest', ...(options.args ?? [])], output: [], calls: 0 };
  const imports: Record<string, Record<string, WasmFunction>> = {};
  let instance: EngineInstance | null = null;
  const memory = (): DataView =>
    new DataView((instance!.exports['memory'] as { readonly buffer: ArrayBuffer }).buffer);
  for (const entry of module.imports) {
    assert(entry.kind === 'func');
    const type = module.types[entry.typeIndex]!;
    assert(type.kind === 'func');
    const call = hostFunction(entry, type);
    imports[entry.module] ??= {};
    imports[entry.module]![entry.name] = (...args: unknown[]): unknown => {
      const result = call(host, memory, args);
      host.calls++;
      return result;
    };
  }
  const ends: string[] = [];
  const attempt = (run: () => void): boolean => {
    try {
      run();
    } catch (error) {
      options.onThrown?.(error);
      ends.push(endOfError(error));
      return !isFinal(error);
    }
    ends.push('returned');
    return true;
  };
  const compiled = new engine.Module(bytes);
  const isInstantiated = attempt(() => {
    instance = new engine.Instance(compiled, imports);
  });
  // What a module without a start function does when it is instantiated is no entry.
  if (module.start === undefined) ends.pop();
  if (isInstantiated) {
    for (const name of options.entries ?? ['_start']) {
      if (!attempt(() => (instance!.exports[name] as () => void)())) break;
    }
  }
  return { ends, output: host.output.join(''), calls: host.calls };
}
