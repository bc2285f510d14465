/**
 * What a cell does that waits for its guest: it runs a small one of our own, from its bytes to its end, with a
 * checkpoint that it goes on from. So the code that the next guest needs is loaded, and the engine has read and
 * compiled it. Nothing of it is left but that: what it writes goes nowhere, and it has words and memory of its own.
 */

import { EMPTY_START } from './empty-start.ts';
import { runGuest } from './guest-run.ts';
import type { GuestWorld } from './guest-world.ts';
import type { StartMessage } from './protocol.ts';
import { createSharedControl, viewSharedControl } from './shared-control.ts';

/** `test/cell/rehearsal.wat` as bytes: what does the calls of a small program, polls, recurs and grows. */
export const REHEARSED_MODULE = Buffer.from(
  [
    'AGFzbQEAAAABIgZgBH9/f38Bf2ACf38Bf2ADf35/AX9gAX8AYAF/AX9gAAACtAIIFndhc2lfc25hcHNob3RfcHJl',
    'dmlldzEIZmRfd3JpdGUAABZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxDmFyZ3Nfc2l6ZXNfZ2V0AAEWd2FzaV9zbmFw',
    'c2hvdF9wcmV2aWV3MRFlbnZpcm9uX3NpemVzX2dldAABFndhc2lfc25hcHNob3RfcHJldmlldzEOZmRfcHJlc3Rh',
    'dF9nZXQAARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxDWZkX2Zkc3RhdF9nZXQAARZ3YXNpX3NuYXBzaG90X3ByZXZp',
    'ZXcxDmNsb2NrX3RpbWVfZ2V0AAIWd2FzaV9zbmFwc2hvdF9wcmV2aWV3MQpyYW5kb21fZ2V0AAEWd2FzaV9zbmFw',
    'c2hvdF9wcmV2aWV3MQlwcm9jX2V4aXQAAwMEAwQDBQQEAXAAAQUDAQABBxMCBm1lbW9yeQIABl9zdGFydAAKCQcB',
    'AEEACwEICpIBAxUAIABFBH9BAAVBASAAQQFrEAhqCws2AQF/A0BBAEEQNgIAQQRBCjYCAEEBQQBBAUEIEAAaQRRB',
    'ABEEABogAUEBaiEBIAEgAEkNAAsLQwBBwABBxAAQARpBwABBxAAQAhpBA0HAABADGkEBQYABEAQaQQFCAUHAABAF',
    'GkHAAEEIEAYaQQFAABpBCBAJQQAQBwsLEAEAQRALCnJlaGVhcnNhbAo=',
  ].join(''),
  'base64',
);

const START: StartMessage = {
  ...EMPTY_START,
  args: ['rehearsal'],
  env: ['A=B'],
  limits: { ...EMPTY_START.limits, memoryPages: 16, tableEntries: 16 },
  triggers: [{ call: 3n, stop: false }],
};

/** The outside of a guest that runs for its own sake; the rest is as for any. */
export type RehearsalWorld = Pick<GuestWorld, 'clock' | 'random' | 'nowMs' | 'native'>;

/** Gives what the guest told, in order: it ends well, or the cell is of no use. */
export async function rehearse(world: RehearsalWorld): Promise<readonly string[]> {
  const told: string[] = [];
  await runGuest(
    {
      ...world,
      shared: viewSharedControl(createSharedControl()),
      report: ({ type }) => {
        told.push(type);
      },
      wishStdin: () => undefined,
      sealed: (image) => Promise.resolve({ type: 'sealed', image, failure: null }),
      spareBuffer: () => undefined,
    },
    START,
    [Uint8Array.from(REHEARSED_MODULE)],
  );
  return told;
}
