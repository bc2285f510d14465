/**
 * Readers of hostile bytes, fed with seeds changed at random: whatever comes is read or refused by name, in bounded
 * time and memory. A few seconds a reader; ten minutes by night. `STASIS_SEED` chooses other inputs.
 */
import { describe, expect, test } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import { CASES } from './cases.ts';
import { runFuzzer } from './run-fuzzer.ts';
import { TARGETS, type TargetName } from './targets.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const SEED = Number(process.env['STASIS_SEED'] ?? (NIGHTLY ? Date.now() % 2 ** 32 : 1));
const FOR_MS = NIGHTLY ? 600_000 : 2000;
const INPUTS_MIN = 500;

describe.each(Object.keys(TARGETS) as TargetName[])('%s', (target) => {
  test('what is not changed is read', () => {
    for (const seed of TARGETS[target].seeds()) TARGETS[target].read(seed);
  });

  test('whatever comes is read or refused by name', async () => {
    const report = await runFuzzer({ target, seed: SEED, forMs: FOR_MS, inputsMin: INPUTS_MIN });
    const { inputs, read, refused, slowestMs, bufferBytesMost, find } = report;
    console.log(
      `fuzz ${target}: seed ${SEED}, ${inputs} inputs, ${read} read, refused ${JSON.stringify(refused)}, ` +
        `slowest ${slowestMs.toFixed(1)} ms, at most ${bufferBytesMost} bytes of buffers`,
    );
    expect(find).toBeNull();
    expect(inputs).toBeGreaterThanOrEqual(INPUTS_MIN);
    // Seeds and changes reach both ends of the reader.
    expect(read).toBeGreaterThan(0);
    if (TARGETS[target].codes.length > 0) expect(Object.keys(refused).length).toBeGreaterThan(0);
  });
});

test(`${CASES.length} inputs found before`, () => {
  for (const { target, what, hex } of CASES) {
    try {
      TARGETS[target].read(Buffer.from(hex, 'hex'));
    } catch (error) {
      expect(error, what).toBeInstanceOf(HostError);
      expect(TARGETS[target].codes, what).toContain((error as HostError).code);
    }
  }
});
