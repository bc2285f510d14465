import { describe, expect, test } from 'vitest';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { type Frame, FrameReader, frameMessage } from '../../src/cell/framing.ts';

const LIMITS = { cborBytesMax: 1000, attachmentsMax: 3, attachmentBytesMax: 100_000 };

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function readAll(stream: Uint8Array, chunkBytes: number): Frame[] {
  const reader = new FrameReader(LIMITS);
  const frames: Frame[] = [];
  for (let at = 0; at < stream.length; at += chunkBytes) {
    frames.push(...reader.push(stream.subarray(at, at + chunkBytes)));
  }
  expect(reader.atBoundary).toBe(true);
  return frames;
}

describe('framing', () => {
  const first: CborValue = { type: 'image', image: 7, head: new Uint8Array([1, 2, 3]) };
  const second: CborValue = { type: 'started' };
  const large = new Uint8Array(70_000).map((_, at) => at & 0xff);
  const stream = join([
    ...frameMessage(first, [large, new Uint8Array(0), new Uint8Array([9])]),
    ...frameMessage(second),
    ...frameMessage(second, [new Uint8Array(0)]),
  ]);

  test.each([1, 7, 8, 9, 4096, 65_536, 1_000_000])(
    'reads back what was written, %i bytes a chunk',
    (size) => {
      const frames = readAll(stream, size);
      expect(frames.map(({ message }) => (message as { type: string }).type)).toEqual([
        'image',
        'started',
        'started',
      ]);
      expect(frames[0]!.attachments.map(({ length }) => length)).toEqual([70_000, 0, 1]);
      expect(Buffer.compare(frames[0]!.attachments[0]!, large)).toBe(0);
      expect(frames[2]!.attachments.map(({ length }) => length)).toEqual([0]);
    },
  );

  test('each attachment has a buffer of its own, to be transferred', () => {
    const [frame] = readAll(stream, 4096);
    for (const { buffer, byteLength } of frame!.attachments)
      expect(buffer.byteLength).toBe(byteLength);
  });

  function prefix(cborBytes: number, sizes: readonly bigint[]): Uint8Array {
    const bytes = Buffer.alloc(8 + 8 * sizes.length);
    bytes.writeUInt32LE(cborBytes, 0);
    bytes.writeUInt32LE(sizes.length, 4);
    for (const [at, size] of sizes.entries()) bytes.writeBigUInt64LE(size, 8 + 8 * at);
    return bytes;
  }

  test.each([
    ['a message above the limit', prefix(1001, [])],
    ['too many attachments', prefix(10, [1n, 1n, 1n, 1n])],
    ['an attachment above the limit', prefix(10, [100_001n])],
    ['attachments above the limit together', prefix(10, [50_000n, 50_001n])],
    ['an attachment of 2^64 − 1 bytes', prefix(10, [2n ** 64n - 1n])],
  ])('refuses %s before any of its bytes arrived', (_, bytes) => {
    expect(() => new FrameReader(LIMITS).push(bytes)).toThrow(
      expect.objectContaining({ code: 'ERR_PROTOCOL' }),
    );
  });

  test('a cut message is seen as cut', () => {
    const reader = new FrameReader(LIMITS);
    reader.push(stream.subarray(0, 100));
    expect(reader.atBoundary).toBe(false);
  });
});
