/**
 * A checkpoint's record: the small sealed CBOR map that a row of the index carries. It holds all that is
 * told about the checkpoint, and where its image begins.
 *
 * The record is bound to vault, owner, id and sequence: a row that was changed, moved to another owner or
 * given another's number does not open.
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import {
  arrayOf,
  bytes,
  checkShape,
  integer,
  mapOf,
  nullable,
  oneOf,
  type Shape,
  text,
} from '../cbor/shape.ts';
import type { CheckpointRow } from '../store/store.ts';
import type { CheckpointInfo, ProviderIdentity, SoftwareIdentity } from './checkpoint-info.ts';
import { IDENTITY_BYTES } from './chunk.ts';
import { vaultDamaged } from './damage.ts';
import { bindTo, openSmall, sealSmall } from './sealing.ts';
import type { OwnerKeys, Random } from './vault-keys.ts';

export interface CheckpointRecord {
  readonly info: CheckpointInfo;
  /** The owner as the record has it; always the one that the row has, or the vault is damaged. */
  readonly owner: string;
  /** Identity of the chunk that lists the image's chunks. */
  readonly manifest: Uint8Array;
}

const count = integer(0);

const softwareFields = {
  module: text(),
  instrumenter: text(),
  host: text(),
  imageFormat: count,
  engine: text(),
};

const providerShape = mapOf({
  kind: nullable(text()),
  version: nullable(integer(1)),
  file: nullable(text()),
  digest: nullable(text()),
});

/** As the first records have a user's provider: `counter.mjs#default <hex SHA-256>`. */
function namedByFile(line: string): ProviderIdentity {
  const at = line.lastIndexOf(' ');
  return { kind: null, version: null, file: line.slice(0, at), digest: line.slice(at + 1) };
}

/** Fields that are there only where they say something: most records have none of them. */
const rareFields = {
  wasi: text(),
  instrumented: text(),
  providers: arrayOf<ProviderIdentity>((value) =>
    typeof value === 'string' ? namedByFile(value) : providerShape(value),
  ),
};
const software: Shape<SoftwareIdentity> = (value) => {
  const rare = Object.entries(rareFields).filter(
    ([name]) => typeof value === 'object' && value !== null && Object.hasOwn(value, name),
  );
  return mapOf({ ...softwareFields, ...Object.fromEntries(rare) })(value);
};

const recordShape = mapOf({
  owner: text(),
  id: text(),
  job: text(),
  name: text(),
  sequence: integer(1),
  stamp: text(),
  cause: oneOf('request', 'timer', 'guest', 'trigger', 'limit'),
  software,
  entry: oneOf('cli', 'edge', 'replay'),
  run: count,
  logBytes: count,
  imageBytes: count,
  storedBytes: count,
  manifest: bytes(IDENTITY_BYTES, IDENTITY_BYTES),
});

export function sealRecord(
  keys: OwnerKeys,
  info: CheckpointInfo,
  manifest: Uint8Array,
  random: Random,
): Uint8Array {
  const { id, sequence, software } = info;
  const { module, instrumented, instrumenter, host, imageFormat, engine, wasi, providers } =
    software;
  const plain = encodeCbor({
    ...info,
    software: {
      ...{ module, instrumenter, host, imageFormat, engine },
      ...(wasi === undefined ? {} : { wasi }),
      ...(instrumented === undefined ? {} : { instrumented }),
      ...(providers === undefined ? {} : { providers: providers.map(providerFields) }),
    },
    owner: keys.owner,
    manifest,
  });
  return sealSmall(keys.record, recordBinding(keys, id, sequence), plain, random);
}

function providerFields({ kind, version, file, digest }: ProviderIdentity) {
  return { kind, version, file, digest };
}

/** The record of a row, or null when it was not sealed with these keys for this id and sequence. */
export function openRecord(keys: OwnerKeys, row: CheckpointRow): CheckpointRecord | null {
  const plain = openSmall(keys.record, recordBinding(keys, row.id, row.sequence), row.record);
  if (plain === null) return null;
  const { owner, manifest, ...info } = checkShape(recordShape, decodeCbor(plain), {
    what: 'checkpoint record',
    code: 'ERR_VAULT_DAMAGED',
  });
  if (info.id !== row.id || info.sequence !== row.sequence) {
    throw vaultDamaged('A checkpoint', { id: row.id });
  }
  return { info, owner, manifest };
}

function recordBinding(keys: OwnerKeys, id: string, sequence: number): Uint8Array {
  return bindTo('record', keys.vaultId, keys.owner, id, sequence);
}
