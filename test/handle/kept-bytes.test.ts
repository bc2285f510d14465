import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ENTRY_BYTES, KeptBytes } from '../../src/handle/kept-bytes.ts';
import { LimitReached } from '../../src/resource/limit-reached.ts';
import { scratchDirectory } from '../host/scratch.ts';

const MIB = 2 ** 20;
const scratch = scratchDirectory();
let directories = 0;

function directory(): string {
  const path = join(scratch, `kept-${++directories}`);
  mkdirSync(join(path, 'deep'), { recursive: true });
  return path;
}

/** Takes first, as a guest's write does. */
function write(kept: KeptBytes, path: string, bytes: number): void {
  kept.take(bytes);
  writeFileSync(path, new Uint8Array(bytes).fill(1));
}

test('what is kept is bounded, and nothing of what was refused counts', () => {
  const path = directory();
  const kept = new KeptBytes(path, 3 * MIB);
  write(kept, join(path, 'a'), MIB);
  write(kept, join(path, 'deep', 'b'), MIB);
  for (let attempt = 0; attempt < 3; attempt++) {
    expect(() => kept.take(MIB)).toThrow(expect.any(LimitReached));
  }
  kept.take(MIB - 4 * ENTRY_BYTES);
});

test('what was removed can be taken again', () => {
  const path = directory();
  const kept = new KeptBytes(path, 3 * MIB);
  for (let round = 0; round < 20; round++) {
    write(kept, join(path, 'deep', 'a'), 2 * MIB);
    rmSync(join(path, 'deep', 'a'));
  }
  write(kept, join(path, 'a'), 2 * MIB);
  expect(() => kept.take(2 * MIB)).toThrow(expect.any(LimitReached));
});

test('what an earlier run left counts from the start, empty files too', () => {
  const path = directory();
  for (let file = 0; file < 10; file++) writeFileSync(join(path, `empty-${file}`), '');
  const kept = new KeptBytes(path, 12 * ENTRY_BYTES);
  kept.take(ENTRY_BYTES);
  writeFileSync(join(path, 'empty'), '');
  expect(() => kept.take(1)).toThrow(expect.any(LimitReached));
});
