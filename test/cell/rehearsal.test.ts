/** The guest that cells run while they wait: it is what its text says, and goes to its end. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { fillFresh } from '../../src/cell/randomness.ts';
import { REHEARSED_MODULE, rehearse } from '../../src/cell/rehearsal.ts';
import { monotonicMs, monotonicNs, threadCpuNs, wallClockNs } from '../../src/cell/wall-clock.ts';
import { nativeDescriptors } from '../../src/handle/native-descriptors.ts';

test('is the text beside this file', async () => {
  const { parseWat } = await wabt();
  const text = readFileSync(new URL('rehearsal.wat', import.meta.url), 'utf8');
  expect(parseWat('rehearsal.wat', text).toBinary({}).buffer).toEqual(
    Uint8Array.from(REHEARSED_MODULE),
  );
});

test('is captured once and ends', async () => {
  const told = await rehearse({
    clock: {
      realtimeNs: wallClockNs,
      monotonicNs,
      cpuNs: threadCpuNs,
      resolutionNs: 1n,
    },
    random: fillFresh,
    nowMs: monotonicMs,
    native: nativeDescriptors(),
  });
  expect(told).toEqual(['instrumented', 'started', 'image', 'ended']);
});
