/**
 * Programs that nobody wrote for us, stopped at random safepoints: Ruby, QuickJS and Flite must end as
 * they do without us.
 *
 * Ruby and QuickJS are carried over within this process; Flite, which writes a file, by the command.
 * `STASIS_NIGHTLY=1` stops them more often.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WASI } from 'node:wasi';
import { expect, test } from 'vitest';
import { type EngineImports, engine } from '../../src/wasm/engine.ts';
import { stasisIn } from '../e2e/stasis-command.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { runRaw } from '../instrument/raw-run.ts';
import { checkRandomStops, randomStream } from '../instrument/stop-places.ts';
import { prepare, runTrial } from '../instrument/trial.ts';
import { FLITE_TEXT, fliteArguments, fliteModule, fliteModulePath } from './flite.ts';
import { QUICKJS_SCRIPTS, quickjsCommand } from './quickjs.ts';
import { RUBY_SCRIPT, rubyCommand } from './ruby.ts';

const MINUTES = 60_000;
const MORE = process.env['STASIS_NIGHTLY'] === '1' ? 10 : 1;
const SEED = 20_261_123;
const RIFF = 'RIFF';

test('QuickJS ends as it does raw, wherever it is stopped', { timeout: 10 * MINUTES }, () => {
  const bytes = quickjsCommand(QUICKJS_SCRIPTS);
  const raw = runRaw(bytes);
  const subject = prepare(bytes);
  const { ending } = runTrial(subject);
  expect(raw.output.split('\n')).toHaveLength(QUICKJS_SCRIPTS.length + 1);
  expect(ending).toMatchObject(raw);
  const { hops, deepest } = checkRandomStops(subject, {}, { seed: SEED, trials: 9 * MORE });
  expect(hops).toBeGreaterThan(9 * MORE);
  expect(deepest).toBeGreaterThan(10);
});

test('a script of QuickJS that throws says so, and traps', () => {
  const { ends, output } = runRaw(quickjsCommand(['1 + 1', 'throw new Error("no more")', '2']));
  expect(output).toBe('2\nError: no more\n');
  expect(ends).toEqual(['unreachable']);
});

test('Ruby ends as it does raw, wherever it is stopped', { timeout: 20 * MINUTES }, () => {
  const bytes = rubyCommand(RUBY_SCRIPT);
  const raw = runRaw(bytes);
  expect(raw.output).toMatch(/^primes 6057\n/);
  expect(raw.ends).toEqual(['exit 0']);
  const subject = prepare(bytes);
  expect(runTrial(subject).ending).toMatchObject(raw);
  const { hops, deepest } = checkRandomStops(subject, {}, { seed: SEED, trials: 3 * MORE });
  expect(hops).toBeGreaterThan(3 * MORE);
  expect(deepest).toBeGreaterThan(30);
});

test('a script of Ruby that raises ends with its status', { timeout: 5 * MINUTES }, () => {
  const { ends, output } = runRaw(rubyCommand('raise ArgumentError, "no more"'));
  expect(ends).toEqual(['exit 1']);
  expect(output).toContain('no more (ArgumentError)');
});

/** The WAV file that Flite writes under Node's own WASI. */
function spokenRaw(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'stasis-flite-'));
  const log = openSync(join(folder, 'log'), 'w');
  try {
    const wasi = new WASI({
      version: 'preview1',
      args: ['flite.wasm', ...fliteArguments(FLITE_TEXT, '/out/said.wav')],
      preopens: { '/out': folder },
      stdout: log,
      stderr: log,
    });
    const imports = wasi.getImportObject() as unknown as EngineImports;
    expect(wasi.start(new engine.Instance(new engine.Module(fliteModule()), imports))).toBe(0);
    return readFileSync(join(folder, 'said.wav'));
  } finally {
    closeSync(log);
    rmSync(folder, { recursive: true });
  }
}

const scratch = scratchDirectory();

test('Flite says the same, byte for byte, wherever it is stopped', {
  timeout: 10 * MINUTES,
}, async () => {
  const expected = spokenRaw();
  expect(expected.subarray(0, RIFF.length).toString('latin1')).toBe(RIFF);
  const stasis = stasisIn(join(scratch, 'home'));
  const data = mkdtempSync(join(scratch, 'out-'));
  const words = [fliteModulePath(), ...fliteArguments(FLITE_TEXT, '/out/said.wav')];
  const random = randomStream(SEED);
  for (let trial = 0; trial < 3 * MORE; trial++) {
    // It opens and writes its file in the last calls; before that it computes.
    const [unit, extent] = trial % 3 === 2 ? ['call', 12] : ['fuel', 10_000_000];
    const at = Math.floor(random() * extent);
    const name = `flite-${trial}`;
    const stop = ['--name', name, `--checkpoint-at-${unit}`, `${at}:stop`];
    rmSync(join(data, 'said.wav'), { force: true });
    const run = await stasis(['run', ...stop, '--dir', `${data}::/out`, ...words]);
    expect(run.stderr.toString()).toContain('stopped after its checkpoint');
    const restored = await stasis(['restore', name]);
    expect({ status: restored.status, stderr: String(restored.stderr) }).toMatchObject({
      status: 0,
    });
    expect(readFileSync(join(data, 'said.wav')).equals(expected)).toBe(true);
  }
});
