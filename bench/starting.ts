/**
 * How long commands take from their start to their exit: a guest that writes one line, by `stasis run` and on
 * `node:wasi`, in turns, each a process of its own in the same Node. Ratios are to `node:wasi` of the same
 * round.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import wabt from 'wabt';
import { HOST_VERSION } from '../src/host/version.ts';
import { halfSpread, median } from './statistics.ts';

export interface StartResult {
  readonly what: string;
  /** Median, from the start of the process to its end. */
  readonly wallMs: number;
  /** Mean, of all its processes and threads; 0 where the system does not say. */
  readonly cpuMs: number;
  /** Median of each round's ratio of wall time to `node:wasi`. */
  readonly ratio: number;
  /** How far these ratios lay apart, halved. */
  readonly noise: number;
}

interface Command {
  readonly what: string;
  readonly words: readonly string[];
  readonly output: string;
  /** To be done before each run, unmeasured. */
  readonly before?: () => void;
}

interface Measured {
  readonly wallMs: number;
  readonly cpuMs: number;
}

const ROOT = join(import.meta.dirname, '..');
const REFERENCE = 'node:wasi';
/** Of `times` in proc(5), a second. */
const TICKS = 100;
const GUEST_OUTPUT = 'hello\n';

/** Throws when the program is not built. */
export async function measureStarting(options: {
  readonly folder: string;
  readonly rounds: number;
}): Promise<readonly StartResult[]> {
  if (!existsSync(join(ROOT, 'dist/cli/main.js'))) {
    throw new Error('the program is not built: npm run build');
  }
  const folder = join(options.folder, 'starting');
  mkdirSync(folder, { recursive: true });
  try {
    const commands = await commandsIn(folder);
    const env = { STASIS_HOME: join(folder, 'home') };
    // Once unmeasured: files are in memory then, and what is kept from one run to the next is there.
    for (const command of commands) run(command, env);
    const rounds = Array.from({ length: options.rounds }, () =>
      commands.map((command) => run(command, env)),
    );
    const reference = commands.findIndex(({ what }) => what === REFERENCE);
    return commands.map(({ what }, at) => {
      const ratios = rounds.map((round) => round[at]!.wallMs / round[reference]!.wallMs);
      return {
        what,
        wallMs: median(rounds.map((round) => round[at]!.wallMs)),
        cpuMs: rounds.reduce((sum, round) => sum + round[at]!.cpuMs, 0) / rounds.length,
        ratio: median(ratios),
        noise: halfSpread(ratios),
      };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function commandsIn(folder: string): Promise<readonly Command[]> {
  const guest = join(folder, 'hello.wasm');
  const { parseWat } = await wabt();
  const text = readFileSync(join(import.meta.dirname, 'hello.wat'), 'utf8');
  writeFileSync(guest, parseWat('hello.wat', text).toBinary({}).buffer);
  const nothing = join(folder, 'nothing.mjs');
  writeFileSync(nothing, '');
  const stasis = join(ROOT, 'bin/stasis.mjs');
  const cache = join(folder, 'home/cache');
  return [
    { what: 'node alone', words: [nothing], output: '' },
    {
      what: REFERENCE,
      words: [join(import.meta.dirname, 'on-node-wasi.mjs'), guest],
      output: GUEST_OUTPUT,
    },
    { what: 'stasis run', words: [stasis, 'run', guest], output: GUEST_OUTPUT },
    {
      what: 'unconfined',
      words: [stasis, 'run', '--confine', 'off', guest],
      output: GUEST_OUTPUT,
    },
    {
      what: 'first time',
      words: [stasis, 'run', guest],
      output: GUEST_OUTPUT,
      before: () => rmSync(cache, { recursive: true, force: true }),
    },
    { what: 'stasis --version', words: [stasis, '--version'], output: `${HOST_VERSION}\n` },
  ];
}

function run({ what, words, output, before }: Command, env: Record<string, string>): Measured {
  before?.();
  const cpuBefore = childrenCpuMs();
  const begunMs = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { env, encoding: 'utf8' });
  const wallMs = performance.now() - begunMs;
  if (status !== 0 || stdout !== output) throw new Error(`${what} failed: ${stdout}${stderr}`);
  return { wallMs, cpuMs: childrenCpuMs() - cpuBefore };
}

/** Processor time of all processes that this one has waited for, and that they have. */
function childrenCpuMs(): number {
  if (process.platform !== 'linux') return 0;
  const fields = readFileSync('/proc/self/stat', 'utf8').split(' ');
  return ((Number(fields[15]) + Number(fields[16])) * 1000) / TICKS;
}
