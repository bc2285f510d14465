import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type CapturedChanges, PageCapture } from '../../src/cell/page-capture.ts';
import { createWriteWatch, type WriteWatch } from '../../src/cell/write-watch.ts';
import { KeptImage } from '../../src/host/kept-image.ts';
import { type BlankRegion, blankRegions } from '../../src/image/blank-regions.ts';
import { PAGE_BYTES } from '../../src/image/image.ts';
import { capturePages } from '../../src/image/memory-capture.ts';
import { openTracking, useTracking } from '../../src/native/write-tracking.ts';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import { engine } from '../../src/wasm/engine.ts';
import { seededRandom } from '../cbor/random-value.ts';

const fds = openTracking();
const scratch = mkdtempSync(join(tmpdir(), 'stasis-pages-'));
const noise = join(scratch, 'noise');
const ROUNDS = process.env['STASIS_NIGHTLY'] === undefined ? 150 : 3000;
const NOISE_BYTES = 300_000;
writeFileSync(
  noise,
  Uint8Array.from({ length: NOISE_BYTES }, (_, at) => (at * 31) % 255),
);
const noiseFd = openSync(noise, 'r+');
afterAll(() => {
  closeSync(noiseFd);
  rmSync(scratch, { recursive: true });
});

const WAYS: readonly (readonly [string, () => WriteWatch | null])[] = [
  ['compared with what was kept', () => null],
  ...(fds === null
    ? []
    : [['by the kernel’s book', () => createWriteWatch(useTracking(fds)!)] as const]),
];

test('this system is said to keep book, or not to', () => {
  console.log(
    fds === null ? 'no write tracking here: pages are compared' : 'the kernel keeps book',
  );
  expect(WAYS.length).toBe(fds === null ? 1 : 2);
});

/** A guest's memories, and what a host has of them. */
class Trial {
  readonly memories = [
    new engine.Memory({ initial: 40 }),
    new engine.Memory({ initial: 0 }),
    new engine.Memory({ initial: 3 }),
  ];
  blank: BlankRegion[] = [];
  readonly #capture: PageCapture;
  readonly #kept = new KeptImage(500);
  #image = 0;
  sentBytes = 0;
  partial = 0;

  constructor(watch: () => WriteWatch | null) {
    this.#capture = new PageCapture(watch);
  }

  views(): Uint8Array[] {
    return this.memories.map(({ buffer }) => new Uint8Array(buffer));
  }

  /** Captures, sends, and compares what the host has with a capture of everything. */
  checkpoint({ lost = false, returned = true } = {}): void {
    const source = { memories: this.views(), blank: this.blank, blankIn: 0 };
    const all = capturePages(source.memories);
    const captured: CapturedChanges = this.#capture.capture(source);
    if (lost) return;
    const since = captured.runs === null ? null : this.#image;
    this.#image++;
    this.#capture.givenAway(this.#image, captured);
    const { memories, bytes, runs } = captured;
    const copies = [Uint8Array.from(bytes), ...(runs === null ? [] : [Uint8Array.from(runs)])];
    const pages = this.#kept.next({ image: this.#image, memories, since }, copies);
    if (returned) this.#capture.takeBack(this.#image, bytes.buffer);

    expect(memories).toEqual(all.memories);
    blankRegions(all.memories, all.pages, 0, this.blank);
    expect(pages.length).toBe(all.pages.length);
    for (let at = 0; at < pages.length; at += PAGE_BYTES) {
      const expected = all.pages.subarray(at, at + PAGE_BYTES);
      if (Buffer.compare(pages.subarray(at, at + PAGE_BYTES), expected) !== 0) {
        throw new Error(`page ${at / PAGE_BYTES} of image ${this.#image} differs`);
      }
    }
    this.sentBytes += bytes.length;
    if (runs !== null) this.partial++;
  }
}

describe.each(WAYS)('changes %s', (_way, watch) => {
  test('are never fewer than there were, whatever wrote them', () => {
    const random = seededRandom(11);
    const below = (limit: number): number => Math.floor(random() * limit);
    const trial = new Trial(watch);
    let writes = 0;
    let checkpoints = 0;
    const steps: readonly (() => void)[] = [
      () => {
        const view = trial.views()[below(3)]!;
        if (view.length > 0) view[below(view.length)] = below(256);
      },
      () => {
        const view = trial.views()[0]!;
        const from = below(view.length);
        view.fill(below(3), from, from + below(20_000));
      },
      () => {
        const view = trial.views()[0]!;
        const page = below(view.length / PAGE_BYTES) * PAGE_BYTES;
        view.fill(0, page, page + PAGE_BYTES);
      },
      // The kernel writes it.
      () => {
        const view = trial.views()[0]!;
        const length = 1 + below(9000);
        readSync(noiseFd, view, below(view.length - length), length, below(NOISE_BYTES - length));
      },
      () => {
        const memory = trial.memories[below(3)]!;
        try {
          memory.grow(below(2));
        } catch {
          // As large as it gets.
        }
      },
      () => {
        const lengthBytes = 1 + below(9000);
        const address = below(trial.views()[0]!.length - lengthBytes);
        trial.blank = random() < 0.3 ? [] : [{ address, lengthBytes }];
      },
    ];
    const likely = [12, 6, 2, 6, 0.3, 0.3];
    const total = likely.reduce((sum, one) => sum + one, 0);
    for (let round = 0; round < ROUNDS; round++) {
      for (let step = below(40); step >= 0; step--) {
        let at = random() * total;
        const chosen = likely.findIndex((one) => {
          at -= one;
          return at < 0;
        });
        steps[chosen]!();
        writes++;
      }
      checkpoints++;
      trial.checkpoint({ lost: random() < 0.05, returned: random() < 0.9 });
    }
    console.log(`${writes} writes, ${checkpoints} checkpoints, ${trial.partial} of changes alone`);
    expect(trial.partial).toBeGreaterThan(checkpoints / 2);
  });

  test('are little of a large heap of which little changes', () => {
    const trial = new Trial(watch);
    trial.memories[0]!.grow(360);
    for (const view of trial.views()) view.fill(7);
    trial.checkpoint();
    const heapBytes = trial.sentBytes;
    trial.sentBytes = 0;
    const view = trial.views()[0]!;
    for (let at = 0; at < view.length; at += 20 * 4096) view[at] = 8;
    trial.checkpoint();
    console.log(`${heapBytes} bytes at first, ${trial.sentBytes} then`);
    expect(trial.sentBytes).toBeLessThan(heapBytes * 0.06);
    trial.sentBytes = 0;
    trial.checkpoint();
    expect(trial.sentBytes).toBe(0);
  });

  const calls = poolCalls();
  test.skipIf(calls === null)('are seen where other memory was mapped over, and away', () => {
    const trial = new Trial(watch);
    trial.views()[0]!.fill(3);
    trial.checkpoint();
    trial.checkpoint();
    const window = 2 * PAGE_BYTES;
    const base = calls!.addressOf(trial.memories[0]!.buffer) + BigInt(window);
    for (let round = 0; round < 4; round++) {
      expect(calls!.mapAt(base, PAGE_BYTES, noiseFd, 0)).toBe(true);
      if (round % 2 === 0) trial.checkpoint();
      expect(calls!.clearAt(base, PAGE_BYTES)).toBe(true);
      trial.checkpoint();
      trial.views()[0]![window + 70 * round] = 1 + round;
      trial.checkpoint();
    }
  });
});

test.skipIf(fds === null)('what the kernel keeps no book of is not called unwritten', () => {
  const watch = createWriteWatch(useTracking(fds!)!)!;
  const memory = new engine.Memory({ initial: 4 });
  const views = (): Uint8Array[] => [new Uint8Array(memory.buffer)];
  expect(watch.take(views())).toBeNull();
  expect(watch.begin(views())).toBe(true);
  expect(watch.take(views())).toEqual([]);
  const at = useTracking(fds!)!.addressOf(memory.buffer);
  expect(poolCalls()!.clearAt(at + BigInt(PAGE_BYTES), PAGE_BYTES)).toBe(true);
  expect(watch.take(views())).toBeNull();
  expect(watch.begin(views())).toBe(true);
  views()[0]![PAGE_BYTES] = 1;
  expect(watch.count(views())).toBe(4096);
  expect(watch.take(views())).toEqual([{ memory: 0, first: 16, count: 1 }]);
});
