/**
 * A manifest lists an image's chunks: the head's, in order, then the pages', in order. It is stored as a
 * chunk itself, so that two checkpoints of one unchanged guest share even that.
 *
 *     { head: bytes of the head, chunks: identities of 32 bytes each, pages: bytes of the pages }
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { bytes, checkShape, integer, mapOf } from '../cbor/shape.ts';
import { CHUNK_BYTES, IDENTITY_BYTES } from './chunk.ts';
import { vaultDamaged } from './damage.ts';

/** Room for the manifest of an image of 64 GiB. */
export const MANIFEST_BYTES_MAX = 2 ** 25 + 64;

export interface Manifest {
  readonly headBytes: number;
  readonly pagesBytes: number;
  /** One for each chunk of the head, then of the pages. */
  readonly identities: readonly Uint8Array[];
}

const manifestShape = mapOf({ head: integer(0), pages: integer(0), chunks: bytes() });

/** Where an image of these sizes is cut: offsets count over head and pages as if they lay in a row. */
export function* cutImage(
  headBytes: number,
  pagesBytes: number,
): Generator<{ readonly offset: number; readonly length: number }> {
  // Pages begin a chunk of their own whatever the head's length, or no page would ever be shared.
  yield* cut(0, headBytes);
  yield* cut(headBytes, pagesBytes);
}

function* cut(start: number, lengthBytes: number): Generator<{ offset: number; length: number }> {
  for (let at = 0; at < lengthBytes; at += CHUNK_BYTES) {
    yield { offset: start + at, length: Math.min(CHUNK_BYTES, lengthBytes - at) };
  }
}

export function encodeManifest({ headBytes, pagesBytes, identities }: Manifest): Uint8Array {
  return encodeCbor({ head: headBytes, pages: pagesBytes, chunks: Buffer.concat(identities) });
}

/** `encoded` is authentic. Throws ERR_VAULT_DAMAGED when it is at odds with itself all the same. */
export function decodeManifest(encoded: Uint8Array): Manifest {
  const { head, pages, chunks } = checkShape(manifestShape, decodeCbor(encoded), {
    what: 'list of chunks',
    code: 'ERR_VAULT_DAMAGED',
  });
  const identities: Uint8Array[] = [];
  for (let at = 0; at < chunks.length; at += IDENTITY_BYTES) {
    identities.push(chunks.subarray(at, at + IDENTITY_BYTES));
  }
  const expected = Math.ceil(head / CHUNK_BYTES) + Math.ceil(pages / CHUNK_BYTES);
  if (chunks.length !== expected * IDENTITY_BYTES) throw vaultDamaged("An image's list of chunks");
  return { headBytes: head, pagesBytes: pages, identities };
}
