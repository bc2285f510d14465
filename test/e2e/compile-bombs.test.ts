/**
 * Modules that are made to hurt whoever decodes, instruments or compiles them: each ends its own cell by a named
 * error, by its limits or by its time, or just runs; the host's memory and the next guest are as ever.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { OP } from '../../src/wasm/opcodes.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { ROOT, reported, stasisIn } from './stasis-command.ts';

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const stasis = stasisIn(home);

function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
    if (rest === 0) return bytes;
  }
}

function section(id: number, ...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([Buffer.from([id, ...leb(body.length)]), body]);
}

const VOID_TYPE = [0x60, 0, 0];
const EXPORTS = section(7, [1, 6, ...Buffer.from('_start'), 0, 0]);

/** A module of functions `[] → []` with these bodies, the first one being its entry. */
function module(
  bodies: readonly Uint8Array[],
  types: Uint8Array = section(1, [1, ...VOID_TYPE]),
): Buffer {
  const code = bodies.map((body) => Buffer.concat([Buffer.from(leb(body.length)), body]));
  return Buffer.concat([
    Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
    types,
    section(3, leb(bodies.length), new Uint8Array(bodies.length)),
    EXPORTS,
    section(10, leb(bodies.length), Buffer.concat(code)),
  ]);
}

function repeated(count: number, pattern: readonly number[]): Buffer {
  return Buffer.alloc(count * pattern.length, Uint8Array.from(pattern));
}

const body = (...parts: readonly (Uint8Array | readonly number[])[]): Buffer =>
  Buffer.concat([
    Buffer.from([0]),
    ...parts.map((part) => Buffer.from(part)),
    Buffer.from([OP.end]),
  ]);
const EMPTY = 0x40;
const I32 = 0x7f;

const BOMBS: Readonly<Record<string, () => Buffer>> = {
  'blocks 100,000 deep': () =>
    module([body(repeated(100_000, [OP.block, EMPTY]), repeated(100_000, [OP.end]))]),
  'loops 100,000 deep': () =>
    module([body(repeated(100_000, [OP.loop, EMPTY]), repeated(100_000, [OP.end]))]),
  'a million locals': () => module([Buffer.from([1, ...leb(1_000_000), I32, OP.end])]),
  'four billion locals': () =>
    module([Buffer.from([2, ...leb(0x7fff_ffff), I32, ...leb(0x7fff_ffff), I32, OP.end])]),
  'a function of 7 MB': () => module([body(repeated(2_300_000, [OP.i32_const, 0, OP.drop]))]),
  'a function of 20 MB': () => module([body(repeated(6_700_000, [OP.i32_const, 0, OP.drop]))]),
  'values a million high': () =>
    module([body(repeated(1_000_000, [OP.i32_const, 0]), repeated(1_000_000, [OP.drop]))]),
  'a hundred thousand calls at one height': () =>
    module([body(repeated(100_000, [OP.i32_const, 1, OP.call, 0, OP.drop]))]),
  'a branch table of a million': () =>
    module([
      body(
        [OP.block, EMPTY, OP.i32_const, 0, OP.br_table, ...leb(1_000_000)],
        new Uint8Array(1_000_001),
        [OP.end],
      ),
    ]),
  'a million types': () =>
    module([body()], section(1, leb(1_000_000), repeated(1_000_000, VOID_TYPE))),
  'a count of four billion types': () => module([body()], section(1, leb(0x7fff_ffff), VOID_TYPE)),
  'half a million functions': () =>
    module(Array.from({ length: 500_000 }, () => body(repeated(4, [OP.i32_const, 0, OP.drop])))),
};

/** Endings that are a decision of ours or of the engine's; a cell that was lost is none of these. */
const NAMED = new Set(['ERR_MALFORMED_MODULE', 'ERR_INVALID_MODULE', 'ERR_UNSUPPORTED_FEATURE']);

test.each(Object.keys(BOMBS))('%s', async (name) => {
  const path = join(scratch, 'bomb.wasm');
  writeFileSync(path, BOMBS[name]!());
  const began = performance.now();
  const { report, status } = await reported(
    stasis(['run', '--json', '--timeout', '4s', '--max-memory', '64MiB', path]),
  );
  const { ending } = report;
  const what = ending.kind === 'failed' ? ending.code : ending.kind;
  console.log(`${name}: ${what}, ${status}, after ${(performance.now() - began).toFixed(0)} ms`);
  if (ending.kind === 'failed') expect(NAMED, JSON.stringify(ending)).toContain(ending.code);
  else expect(['exit', 'deadline', 'trap', 'limit']).toContain(ending.kind);
});

test('and the next guest runs as ever, with nothing left of them', async () => {
  const { status, stdout } = await stasis(['run', join(ROOT, 'guests/build/nqueens.wasm'), '6']);
  expect(status).toBe(0);
  expect(stdout.toString()).toMatch(/\b4 solutions/);
  for (const place of ['jobs', 'run', 'modules']) {
    expect([place, readdirSync(join(home, place))]).toEqual([place, []]);
  }
});
