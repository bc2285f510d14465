/**
 * A page that a guest holds at an address of its own memory, and how it looks in an image.
 */
import {
  arrayOf,
  boolean,
  bytes,
  integer,
  mapOf,
  type ShapeOf,
  text,
  wideInteger,
} from '../cbor/shape.ts';
import { ID_BYTES, PAGES_LIMIT } from './pool-format.ts';

export interface Pin {
  readonly page: number;
  readonly slot: number;
  /** How often it is pinned; it goes when it is unpinned as often. */
  holds: number;
  /** For changing: nobody else may. */
  write: boolean;
  /** One of several holds was given back with changes. */
  dirty: boolean;
  /** It was for changing, and the page was changed by others during a checkpoint: its own changes are lost. */
  stale: boolean;
  /** The bytes were replaced, and the guest did not ask yet. */
  changed: boolean;
  /** Of the bytes that the guest got, or began to change. */
  version: bigint;
  /** Of a window: the frame that shows in the slot, or -1 when the slot holds a copy. */
  frame: number;
}

export const POOLS_OPEN_MAX = 16;
export const SLOTS_MAX = 16_384;
export const HOLDS_MAX = 65_535;
export const POOL_NAME_MAX = 64;

const VERSION_MAX = 2n ** 56n - 1n;
const COUNT_MAX = 2n ** 63n;

const pinShape = mapOf({
  page: integer(0, PAGES_LIMIT - 1),
  slot: integer(0, SLOTS_MAX - 1),
  holds: integer(1, HOLDS_MAX),
  write: boolean,
  dirty: boolean,
  stale: boolean,
  changed: boolean,
  version: wideInteger(0n, VERSION_MAX),
});

const poolShape = mapOf({
  number: integer(0, POOLS_OPEN_MAX - 1),
  name: text(POOL_NAME_MAX),
  id: bytes(ID_BYTES, ID_BYTES),
  pageBytes: integer(1),
  window: boolean,
  address: integer(0),
  slots: integer(1, SLOTS_MAX),
  changes: wideInteger(0n, COUNT_MAX),
  pins: arrayOf(pinShape, 0, SLOTS_MAX),
});

/** What an image says of the pools that a guest had open. */
export const poolsShape = arrayOf(poolShape, 0, POOLS_OPEN_MAX);
export type PoolState = ShapeOf<typeof poolShape>;
export type PinState = ShapeOf<typeof pinShape>;
