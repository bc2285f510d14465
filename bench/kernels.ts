/**
 * What safepoints cost while a guest runs: each kernel and program raw, raw again, ours with and without
 * on-stack replacement, and asyncified with and without the same polls, in turns.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ENGINE_FLAGS } from '../src/cell/engine-flags.ts';
import { instrument } from '../src/instrument/instrument.ts';
import { asyncify } from './asyncify.ts';
import { measureApart } from './fresh-process.ts';
import type { KernelRun } from './kernel-run.ts';
import { withoutUnwinding } from './polls-only.ts';
import { type Program, RUN } from './programs.ts';
import { geometricMean, halfSpread, median } from './statistics.ts';

const GUESTS = join(import.meta.dirname, '..', 'guests', 'build', 'kernels');

/** Sizes that make a raw run take about half a second, where the kernel's own default does not. */
const SIZE: Readonly<Record<string, string>> = { fib: '40' };

export const VARIANTS = [
  'raw',
  'control',
  'ours',
  'replacing',
  'polledAsyncify',
  'asyncify',
] as const;
export type Variant = (typeof VARIANTS)[number];

const RUN_KIND: Readonly<Record<Variant, string>> = {
  raw: 'raw',
  control: 'raw',
  ours: 'ours',
  replacing: 'replacing',
  polledAsyncify: 'polled',
  asyncify: 'raw',
};

export interface KernelResult {
  readonly kernel: string;
  /** Median processor time of the raw module, in milliseconds. */
  readonly rawMs: number;
  /** Median over the rounds of the time against that of the raw module in the same round. */
  readonly ratios: Readonly<Partial<Record<Variant, number>>>;
  /** The same with the processor time of all threads, so with the engine's compiling and that of twins. */
  readonly allRatios: Readonly<Partial<Record<Variant, number>>>;
  /** How often a call was replaced, in the last round. */
  readonly replaced: number;
  /** Half the spread of raw against raw. */
  readonly noise: number;
}

export interface KernelOptions {
  /** For the variants, and for what `fresh-process.ts` keeps. */
  readonly folder: string;
  readonly rounds: number;
  readonly variants: readonly Variant[];
  /** Kernels to run; all, when empty. */
  readonly kernels: readonly string[];
  readonly onKernel: (result: KernelResult) => void;
}

export function measureKernels(options: KernelOptions): KernelResult[] {
  const kernels = readdirSync(GUESTS)
    .filter((name) => name.endsWith('.wasm'))
    .map((name) => kernelNamed(basename(name, '.wasm')));
  return [...kernels, ...RUN]
    .filter(({ name }) => options.kernels.length === 0 || options.kernels.includes(name))
    .map((kernel) => {
      const result = measureKernel(kernel, options);
      options.onKernel(result);
      return result;
    });
}

function kernelNamed(name: string): Program {
  const size = SIZE[name];
  const bytes = (): Uint8Array<ArrayBuffer> =>
    new Uint8Array(readFileSync(join(GUESTS, `${name}.wasm`)));
  return { name, bytes, args: size === undefined ? [] : [size] };
}

/** Geometric mean over the kernels, by variant. */
export function overall(results: readonly KernelResult[], variant: Variant): number {
  return geometricMean(results.flatMap(({ ratios }) => ratios[variant] ?? []));
}

function measureKernel(kernel: Program, options: KernelOptions): KernelResult {
  const { folder, rounds } = options;
  // Asyncify has nothing to say about programs of 30 MB, and takes minutes for them.
  const isProgram = RUN.includes(kernel);
  const variants = options.variants.filter((v) => !isProgram || !v.endsWith('syncify'));
  const files = prepare(folder, kernel, variants);
  const runs = new Map<Variant, KernelRun[]>(variants.map((variant) => [variant, []]));
  let expected: string | undefined;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < variants.length; turn++) {
      const variant = variants[(turn + round) % variants.length]!;
      const made = run(folder, RUN_KIND[variant], files[variant]!, files, kernel);
      const { status, output } = made;
      expected ??= output;
      if (status !== 0 || output !== expected) {
        throw new Error(`${kernel.name} as ${variant} ended with ${status} and printed ${output}`);
      }
      runs.get(variant)!.push(made);
    }
  }
  const raw = runs.get('raw')!;
  const against = (variant: Variant, part: 'ms' | 'allMs' = 'ms'): number[] =>
    runs.get(variant)!.map((made, round) => made[part] / raw[round]![part]);
  return {
    kernel: kernel.name,
    rawMs: median(raw.map(({ ms }) => ms)),
    ratios: Object.fromEntries(variants.map((variant) => [variant, median(against(variant))])),
    allRatios: Object.fromEntries(
      variants.map((variant) => [variant, median(against(variant, 'allMs'))]),
    ),
    replaced: runs.get('replacing')?.at(-1)?.replaced ?? 0,
    noise: variants.includes('control') ? halfSpread([1, ...against('control')]) : 0,
  };
}

type Files = Readonly<Partial<Record<Variant, string>>> & { readonly plan: string };

function prepare(
  folder: string,
  { name, bytes: load }: Program,
  variants: readonly Variant[],
): Files {
  const file = (suffix: string): string => join(folder, `${name}${suffix}`);
  const bytes = load();
  const made = instrument(bytes);
  writeFileSync(file('.raw.wasm'), bytes);
  writeFileSync(file('.plan'), made.plan);
  writeFileSync(file('.ours.wasm'), made.bytes);
  if (variants.includes('polledAsyncify')) {
    writeFileSync(file('.polled.wasm'), withoutUnwinding(made.bytes));
    asyncify(file('.polled.wasm'), file('.polled-asyncify.wasm'));
  }
  if (variants.includes('asyncify')) asyncify(file('.raw.wasm'), file('.asyncify.wasm'));
  return {
    plan: file('.plan'),
    raw: file('.raw.wasm'),
    control: file('.raw.wasm'),
    ours: file('.ours.wasm'),
    replacing: file('.ours.wasm'),
    polledAsyncify: file('.polled-asyncify.wasm'),
    asyncify: file('.asyncify.wasm'),
  };
}

function run(
  folder: string,
  kind: string,
  module: string,
  files: Files,
  kernel: Program,
): KernelRun {
  const args = [kind, module, files.raw!, files.plan, ...kernel.args];
  // A cell sets its engine for what it runs; everything else runs on the engine as it is.
  const flags = kind === 'ours' || kind === 'replacing' ? ENGINE_FLAGS : [];
  return measureApart<KernelRun>(folder, 'kernel-run.ts', args, flags);
}
