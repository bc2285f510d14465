/**
 * A guest in a cell that asks for checkpoints, and changes a little in between: what its cell sends is little,
 * and the images are those of a cell that sends all of it.
 */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cellProgram } from '../../src/host/cell-command.ts';
import { type PausedImage, superviseGuest } from '../../src/host/supervise.ts';
import { PAGE_BYTES } from '../../src/image/image.ts';
import { openTracking } from '../../src/native/write-tracking.ts';
import { UNATTENDED } from '../host/unattended.ts';
import { assemble } from '../instrument/assemble.ts';
import { startOf } from './guest-thread.ts';

const PAGES = 200;
const CHECKPOINTS = 8;
/** Bytes between two writes: of the 4 KiB units, one in sixteen. */
const STEP = 65_536;

/** Fills its memory, then by turns writes a byte here and there, grows by a page, and asks for a checkpoint. */
const GUEST = `(module
  (import "stasis" "checkpoint" (func $checkpoint (result i32)))
  (memory (export "memory") ${PAGES})
  (func (export "_start") (local $round i32) (local $at i32)
    (memory.fill (i32.const 0) (i32.const 7) (i32.const ${PAGES * PAGE_BYTES}))
    (loop $rounds
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (local.set $at (i32.mul (local.get $round) (i32.const 4)))
      (loop $some
        (i32.store8 (local.get $at) (local.get $round))
        (local.set $at (i32.add (local.get $at) (i32.const ${STEP * 4})))
        (br_if $some (i32.lt_u (local.get $at) (i32.const ${PAGES * PAGE_BYTES}))))
      (drop (memory.grow (i32.const 1)))
      ;; The next page of those that nobody has written yet; and one of the others becomes zero.
      (i32.store8 (i32.mul (i32.const 65536) (i32.add (i32.const ${PAGES - 1}) (local.get $round))) (i32.const 1))
      (memory.fill (i32.mul (i32.const 65536) (local.get $round)) (i32.const 0) (i32.const 65536))
      (drop (call $checkpoint))
      (br_if $rounds (i32.lt_u (local.get $round) (i32.const ${CHECKPOINTS}))))))`;

interface Found {
  readonly sent: readonly number[];
  readonly images: readonly string[];
  readonly memory: string | null;
}

async function run(confine: 'auto' | 'off'): Promise<Found> {
  const program = cellProgram(process.execPath);
  const sent: number[] = [];
  const images: string[] = [];
  const guest = await superviseGuest({
    ...UNATTENDED,
    program,
    start: {
      ...startOf({
        args: [],
        env: [],
        preopens: [],
        fuel: null,
        memoryPages: 400,
        tableEntries: 100,
        invoke: null,
        trapUnknownImports: false,
        wasi: 'stasis',
      } as never),
      cached: false,
    },
    attachments: [assemble(GUEST)],
    confine,
    seal: async ({ head, pages, sentBytes }: PausedImage) => {
      sent.push(sentBytes);
      const digest = createHash('sha256');
      for (let at = 0; at < pages.length; at += PAGE_BYTES) {
        digest.update(pages.subarray(at, at + PAGE_BYTES));
      }
      images.push(digest.digest('hex'));
      return { id: '', sequence: 0, stamp: '', imageBytes: head.length, storedBytes: 0 };
    },
  });
  const { ending, memoryDigest } = await guest.ended;
  expect(ending).toEqual({ kind: 'exit', code: 0 });
  return { sent, images, memory: memoryDigest };
}

/** What the guest's memory is at each checkpoint. */
function expectedImages(): string[] {
  const memory = new Uint8Array((PAGES + CHECKPOINTS) * PAGE_BYTES).fill(7, 0, PAGES * PAGE_BYTES);
  return Array.from({ length: CHECKPOINTS }, (_, before) => {
    const round = before + 1;
    for (let at = round * 4; at < PAGES * PAGE_BYTES; at += STEP * 4) memory[at] = round;
    memory[PAGE_BYTES * (PAGES - 1 + round)] = 1;
    memory.fill(0, PAGE_BYTES * round, PAGE_BYTES * (round + 1));
    const digest = createHash('sha256');
    for (let at = 0; at < memory.length; at += PAGE_BYTES) {
      const page = memory.subarray(at, at + PAGE_BYTES);
      if (page.some((byte) => byte !== 0)) digest.update(page);
    }
    return digest.digest('hex');
  });
}

test.each(['auto', 'off'] as const)(
  'little is sent of what is as it was, confined: %s',
  async (confine) => {
    expect(existsSync(cellProgram(process.execPath).entry)).toBe(true);
    const { sent, images } = await run(confine);
    console.log(
      `bytes sent: ${sent.join(', ')}; ${openTracking() === null ? 'compared' : 'by the kernel’s book'}`,
    );
    expect(images).toEqual(expectedImages());
    expect(sent[0]).toBeGreaterThan(PAGES * PAGE_BYTES * 0.9);
    // Without the kernel's book it takes a buffer that came back, which may come too late.
    const later = sent.slice(1).filter((bytes) => bytes < sent[0]! / 20);
    expect(later.length).toBeGreaterThan(openTracking() === null ? 0 : CHECKPOINTS - 2);
  },
);
