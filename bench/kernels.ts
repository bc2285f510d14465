/**
 * What safepoints cost while a guest runs: each kernel raw, raw again, ours, and asyncified with and
 * without the same polls, in turns.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ENGINE_FLAGS } from '../src/cell/engine-flags.ts';
import { instrument } from '../src/instrument/instrument.ts';
import { asyncify } from './asyncify.ts';
import { measureApart } from './fresh-process.ts';
import { withoutUnwinding } from './polls-only.ts';
import { geometricMean, halfSpread, median } from './statistics.ts';

const GUESTS = join(import.meta.dirname, '..', 'guests', 'build', 'kernels');

/** Sizes that make a raw run take about half a second, where the kernel's own default does not. */
const SIZE: Readonly<Record<string, string>> = { fib: '40' };

export const VARIANTS = ['raw', 'control', 'ours', 'polledAsyncify', 'asyncify'] as const;
export type Variant = (typeof VARIANTS)[number];

const RUN_KIND: Readonly<Record<Variant, string>> = {
  raw: 'raw',
  control: 'raw',
  ours: 'ours',
  polledAsyncify: 'polled',
  asyncify: 'raw',
};

export interface KernelResult {
  readonly kernel: string;
  /** Median processor time of the raw module, in milliseconds. */
  readonly rawMs: number;
  /** Median over the rounds of the time against that of the raw module in the same round. */
  readonly ratios: Readonly<Partial<Record<Variant, number>>>;
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
  return readdirSync(GUESTS)
    .filter((name) => name.endsWith('.wasm'))
    .map((name) => basename(name, '.wasm'))
    .filter((name) => options.kernels.length === 0 || options.kernels.includes(name))
    .map((kernel) => {
      const result = measureKernel(kernel, options);
      options.onKernel(result);
      return result;
    });
}

/** Geometric mean over the kernels, by variant. */
export function overall(results: readonly KernelResult[], variant: Variant): number {
  return geometricMean(results.map(({ ratios }) => ratios[variant]!));
}

function measureKernel(kernel: string, options: KernelOptions): KernelResult {
  const { folder, rounds, variants } = options;
  const files = prepare(folder, kernel, variants);
  const times = new Map<Variant, number[]>(variants.map((variant) => [variant, []]));
  let expected: string | undefined;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < variants.length; turn++) {
      const variant = variants[(turn + round) % variants.length]!;
      const { ms, status, output } = run(folder, RUN_KIND[variant], files[variant]!, files, kernel);
      expected ??= output;
      if (status !== 0 || output !== expected) {
        throw new Error(`${kernel} as ${variant} ended with ${status} and printed ${output}`);
      }
      times.get(variant)!.push(ms);
    }
  }
  const raw = times.get('raw')!;
  const against = (variant: Variant): number[] =>
    times.get(variant)!.map((ms, round) => ms / raw[round]!);
  return {
    kernel,
    rawMs: median(raw),
    ratios: Object.fromEntries(variants.map((variant) => [variant, median(against(variant))])),
    noise: variants.includes('control') ? halfSpread([1, ...against('control')]) : 0,
  };
}

type Files = Readonly<Partial<Record<Variant, string>>> & { readonly plan: string };

function prepare(folder: string, kernel: string, variants: readonly Variant[]): Files {
  const file = (suffix: string): string => join(folder, `${kernel}${suffix}`);
  const bytes = new Uint8Array(readFileSync(join(GUESTS, `${kernel}.wasm`)));
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
    polledAsyncify: file('.polled-asyncify.wasm'),
    asyncify: file('.asyncify.wasm'),
  };
}

interface Run {
  readonly ms: number;
  readonly status: number;
  readonly output: string;
}

function run(folder: string, kind: string, module: string, files: Files, kernel: string): Run {
  const size = SIZE[kernel];
  const args = [kind, module, files.raw!, files.plan, ...(size === undefined ? [] : [size])];
  // A cell sets its engine for what it runs; everything else runs on the engine as it is.
  return measureApart<Run>(folder, 'kernel-run.ts', args, kind === 'ours' ? ENGINE_FLAGS : []);
}
