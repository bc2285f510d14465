/**
 * Messages on a stream: how `protocol.ts`'s layout is written and read back, piece by piece.
 *
 * Invariants:
 * 1. No length is believed before it was compared with the reader's limits.
 * 2. Attachments lie in buffers of their own, so that they can be transferred to another thread, or shared
 *    with it.
 */
import type { CborValue } from '../cbor/cbor.ts';
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { HostError } from '../fault/host-error.ts';

const PREFIX_BYTES = 8;
const SIZE_BYTES = 8;

export interface FrameLimits {
  readonly cborBytesMax: number;
  readonly attachmentsMax: number;
  /** Of all attachments of one message together. */
  readonly attachmentBytesMax: number;
}

export interface Frame {
  readonly message: CborValue;
  readonly attachments: readonly Uint8Array<ArrayBuffer>[];
  /** The first attachment, if the reader was told to share it: it is not among the others then. */
  readonly shared: Uint8Array<SharedArrayBuffer> | null;
}

/** The parts of a message, to be written one after the other; attachments are not copied. */
export function frameMessage(
  message: CborValue,
  attachments: readonly Uint8Array[] = [],
): readonly Uint8Array[] {
  const cbor = encodeCbor(message);
  const prefix = new Uint8Array(PREFIX_BYTES + SIZE_BYTES * attachments.length);
  const view = new DataView(prefix.buffer);
  view.setUint32(0, cbor.length, true);
  view.setUint32(4, attachments.length, true);
  attachments.forEach((attachment, at) => {
    view.setBigUint64(PREFIX_BYTES + SIZE_BYTES * at, BigInt(attachment.length), true);
  });
  return [prefix, cbor, ...attachments];
}

/** Puts chunks of a stream together to frames. Throws ERR_PROTOCOL; after that it must not be used. */
export class FrameReader {
  readonly #limits: FrameLimits;
  #stage: 'prefix' | 'sizes' | 'cbor' | 'attachment' = 'prefix';
  readonly #sharesFirst: boolean;
  #target: Uint8Array = new Uint8Array(PREFIX_BYTES);
  #filled = 0;
  #cborBytes = 0;
  #sizes: readonly number[] = [];
  #message: CborValue = null;
  #attachments: Uint8Array<ArrayBuffer>[] = [];
  #shared: Uint8Array<SharedArrayBuffer> | null = null;

  /** `sharesFirst`: the first attachment of each message is read into shared memory. */
  constructor(limits: FrameLimits, { sharesFirst = false }: { sharesFirst?: boolean } = {}) {
    this.#limits = limits;
    this.#sharesFirst = sharesFirst;
  }

  /** The frames that `chunk` completes, in order. */
  push(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    let at = 0;
    for (;;) {
      const part = chunk.subarray(at, at + this.#target.length - this.#filled);
      this.#target.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < this.#target.length) return frames;
      this.#finishStage(frames);
      // A next part of no bytes is complete already, so the end of the chunk alone ends nothing.
      if (at === chunk.length && this.#target.length > 0) return frames;
    }
  }

  /** Whether the stream may end here without a message being cut. */
  get atBoundary(): boolean {
    return this.#stage === 'prefix' && this.#filled === 0;
  }

  #finishStage(frames: Frame[]): void {
    const done = this.#target;
    const view = new DataView(done.buffer, done.byteOffset, done.length);
    switch (this.#stage) {
      case 'prefix': {
        this.#cborBytes = view.getUint32(0, true);
        const count = view.getUint32(4, true);
        if (this.#cborBytes > this.#limits.cborBytesMax || count > this.#limits.attachmentsMax) {
          throw new HostError('ERR_PROTOCOL', 'A message between host and cell is too large.', {
            facts: { cborBytes: this.#cborBytes, attachments: count },
          });
        }
        this.#sizes = [];
        this.#attachments = [];
        this.#shared = null;
        if (count > 0) this.#begin('sizes', SIZE_BYTES * count);
        else this.#begin('cbor', this.#cborBytes);
        return;
      }
      case 'sizes': {
        const sizes = Array.from({ length: done.length / SIZE_BYTES }, (_, at) =>
          Number(view.getBigUint64(SIZE_BYTES * at, true)),
        );
        const total = sizes.reduce((sum, size) => sum + size, 0);
        if (total > this.#limits.attachmentBytesMax) {
          throw new HostError('ERR_PROTOCOL', 'A message between host and cell is too large.', {
            facts: { attachmentBytes: total, allowed: this.#limits.attachmentBytesMax },
          });
        }
        this.#sizes = sizes;
        this.#begin('cbor', this.#cborBytes);
        return;
      }
      case 'cbor':
        this.#message = decodeCbor(done);
        break;
      case 'attachment':
        break;
    }
    const begun = this.#attachments.length + (this.#shared === null ? 0 : 1);
    const next = this.#sizes[begun];
    if (next !== undefined) {
      this.#begin('attachment', next);
      return;
    }
    frames.push({
      message: this.#message,
      attachments: this.#attachments,
      shared: this.#shared,
    });
    this.#begin('prefix', PREFIX_BYTES);
  }

  #begin(stage: 'prefix' | 'sizes' | 'cbor' | 'attachment', bytes: number): void {
    this.#stage = stage;
    this.#filled = 0;
    try {
      this.#target = stage === 'attachment' ? this.#attachment(bytes) : new Uint8Array(bytes);
    } catch (cause) {
      throw new HostError('ERR_PROTOCOL', 'A message between host and cell does not fit memory.', {
        facts: { bytes },
        cause,
      });
    }
  }
  #attachment(bytes: number): Uint8Array {
    if (this.#sharesFirst && this.#shared === null) {
      this.#shared = new Uint8Array(new SharedArrayBuffer(bytes));
      return this.#shared;
    }
    const attachment = new Uint8Array(bytes);
    this.#attachments.push(attachment);
    return attachment;
  }
}
