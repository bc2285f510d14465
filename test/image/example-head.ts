import { IMAGE_FORMAT, type ImageHead } from '../../src/image/image.ts';

/** A head with every field in use. Its bytes are pinned in `head.test.ts`. */
export const EXAMPLE_HEAD: ImageHead = {
  format: IMAGE_FORMAT,
  stack: {
    frames: [
      { func: 3, site: 1, words: Uint8Array.of(1, 0, 0, 0, 255, 255, 255, 255), refs: [null, 7] },
      { func: 300, site: 0, words: new Uint8Array(0), refs: [] },
    ],
    pending: {
      module: 'wasi_snapshot_preview1',
      name: 'fd_read',
      args: [-1, 0xffff_ffff, 5n, -(2n ** 63n)],
      progress: { done: [1, 2] },
    },
  },
  memories: [
    {
      sizePages: 17,
      present: [
        [0, 2],
        [3, 1],
        [16, 1],
      ],
    },
    { sizePages: 0, present: [] },
  ],
  globals: { words: Uint8Array.of(0, 0, 1, 0), refs: [2] },
  tables: [
    { size: 3, entries: [null, 1, 2] },
    { size: 10_000_000, entries: null },
  ],
  counters: { fuel: 12_345_678_901n, calls: 42n },
  handles: [{ kind: 'stdin' }, null],
  providers: [{ kind: 'clock', version: 1, state: { offsetNs: -5 } }],
};
