/**
 * What the instrumenter makes of a module belongs to its version: a checkpoint names both. Where this fails, the
 * output has changed: raise INSTRUMENTER_VERSION, and write down the digests that this prints.
 */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { instrument } from '../../src/instrument/instrument.ts';
import { INSTRUMENTER_VERSION } from '../../src/instrument/version.ts';
import { moduleBytes } from '../guests/built-modules.ts';

const DIGESTS: Readonly<Record<string, string>> = {
  'changed-table': '5ac49cb493ee381c5b0c796acf91397b305e5d23709906a3942d128c08a5cf17',
  'globals-and-start': '378097ea6c768fa6d520c73c840b87c09e88cb0b46b6057eec8af4750567088b',
  'multi-value': '675f3bb1548bd54b637af36cf9050d4b05cf39b5a395c257558ede2fcf47dbb2',
  nqueens: 'd2d369d29d11a7f718d43b51d7755d06e435a238beeecee94fa05d94008c1f2c',
  simd: 'b836ee03fb3469c9570e05f6af123c63c20b1cc4dcea39922cc446a11f060d6b',
};

test('the output is that of this version', () => {
  const made = Object.fromEntries(
    ['nqueens', 'simd', 'changed-table', 'globals-and-start', 'multi-value'].map((name) => {
      const { bytes, plan } = instrument(moduleBytes(name));
      return [name, createHash('sha256').update(bytes).update(plan).digest('hex')];
    }),
  );
  expect({ version: INSTRUMENTER_VERSION, ...made }).toEqual({ version: '2', ...DIGESTS });
});
