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
  'changed-table': 'f492b56fb332af2b9decd8d0a0ca1acc4432d74da37aefac17273bd42f4771c4',
  'globals-and-start': '942c52e9af441fa4de74d28ab7207415783674fdfc305f00257c76c5864c31bb',
  'multi-value': '111826c8a0c23d091aa5da103930f20cf1c57ac8277337ccac8bac9a456e2176',
  nqueens: 'eec20ca2e0c502eca1d2f82530c79a318caec4f086db1d3c9bf924a8d42ccf48',
  simd: '444fb51616ce08de9a7f13c13fa17d4dc3044ffa206d15234823dc618bd80d97',
};

test('the output is that of this version', () => {
  const made = Object.fromEntries(
    ['nqueens', 'simd', 'changed-table', 'globals-and-start', 'multi-value'].map((name) => {
      const { bytes, plan } = instrument(moduleBytes(name));
      return [name, createHash('sha256').update(bytes).update(plan).digest('hex')];
    }),
  );
  expect({ version: INSTRUMENTER_VERSION, ...made }).toEqual({ version: '3', ...DIGESTS });
});
