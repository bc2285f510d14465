/**
 * Authenticated encryption as the vault uses it everywhere: AES-256-GCM with a tag of 16 bytes.
 *
 * Associated data is a CBOR array that begins with the format and what kind of thing is sealed, so that
 * nothing sealed in one place opens in another. Plaintext leaves this file only after the tag was checked.
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import type { CborValue } from '../cbor/cbor.ts';
import { encodeCbor } from '../cbor/encode.ts';

/** Format of what is sealed; the index has one of its own (`../store/index-schema.ts`). */
export const SEALING_FORMAT = 1;
export const KEY_BYTES = 32;
export const TAG_BYTES = 16;
export const NONCE_BYTES = 12;

const ALGORITHM = 'aes-256-gcm';

/** What a sealed thing is bound to. */
export function bindTo(kind: string, ...where: readonly CborValue[]): Uint8Array {
  return encodeCbor(['stasis vault', SEALING_FORMAT, kind, ...where]);
}

/** A key for one purpose out of another key. */
export function deriveKey(key: KeyObject, salt: Uint8Array, purpose: string): KeyObject {
  return asKey(new Uint8Array(hkdfSync('sha256', key, salt, bindTo('key', purpose), KEY_BYTES)));
}

export function asKey(bytes: Uint8Array): KeyObject {
  return createSecretKey(bytes);
}

/** Ciphertext, then tag. `nonce` must never come twice with one key. */
export function sealWith(
  key: KeyObject,
  nonce: Uint8Array,
  bound: Uint8Array,
  plain: Uint8Array,
): Uint8Array[] {
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(bound);
  const body = cipher.update(plain);
  cipher.final();
  return [body, cipher.getAuthTag()];
}

/** The plaintext of ciphertext and tag, or null when anything differs from what was sealed. */
export function openWith(
  key: KeyObject,
  nonce: Uint8Array,
  bound: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | null {
  if (sealed.length < TAG_BYTES) return null;
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(bound);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return plain;
}

/** Nonce, ciphertext, tag: for small things, under a nonce from `random`. */
export function sealSmall(
  key: KeyObject,
  bound: Uint8Array,
  plain: Uint8Array,
  random: (bytes: number) => Uint8Array,
): Uint8Array {
  const nonce = random(NONCE_BYTES);
  return new Uint8Array(Buffer.concat([nonce, ...sealWith(key, nonce, bound, plain)]));
}

/** What `sealSmall` sealed, or null. */
export function openSmall(
  key: KeyObject,
  bound: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | null {
  if (sealed.length < NONCE_BYTES) return null;
  return openWith(key, sealed.subarray(0, NONCE_BYTES), bound, sealed.subarray(NONCE_BYTES));
}
