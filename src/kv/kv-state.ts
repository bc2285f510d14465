/**
 * What an image says of a guest's databases: which were open, by which numbers, and where the cursors
 * stood. Not what is in them: that is what the files hold when the guest comes back.
 */
import {
  arrayOf,
  boolean,
  bytes,
  integer,
  mapOf,
  mismatch,
  nullable,
  type Shape,
  type ShapeOf,
  text,
} from '../cbor/shape.ts';

export const DATABASES_MAX = 16;
export const CURSORS_MAX = 64;
export const KEY_BYTES_MAX = 4096;
export const VALUE_BYTES_MAX = 16 * 1024 * 1024;
export const NAME_BYTES_MAX = 64;
export const ID_BYTES = 16;

const key = bytes(1, KEY_BYTES_MAX);
const number = integer(1, Math.max(DATABASES_MAX, CURSORS_MAX));

const parts = mapOf({
  databases: arrayOf(
    mapOf({ number, name: text(NAME_BYTES_MAX), id: bytes(ID_BYTES, ID_BYTES) }),
    0,
    DATABASES_MAX,
  ),
  cursors: arrayOf(
    mapOf({
      number,
      database: number,
      from: nullable(key),
      to: nullable(key),
      descending: boolean,
      last: nullable(key),
    }),
    0,
    CURSORS_MAX,
  ),
});

export type KvState = ShapeOf<typeof parts>;

export const kvStateShape: Shape<KvState> = (value) => {
  const found = parts(value);
  const databases = new Set(found.databases.map((one) => one.number));
  const cursors = new Set(found.cursors.map((one) => one.number));
  const fits =
    databases.size === found.databases.length &&
    cursors.size === found.cursors.length &&
    found.cursors.every(({ database }) => databases.has(database));
  if (!fits) throw mismatch('a list of databases and of cursors in them, none twice');
  return found;
};
