/**
 * Parts of a guest's memory that never enter an image: the guest declared them, or the host wrote a secret
 * there. A captured copy has zeros in their place; in the guest that goes on nothing changes.
 *
 * After a restart the regions are declared as before. Those that hold a secret of the user's by its name
 * are filled with today's value; the others hold zeros, and the guest has to fill them itself.
 *
 * Invariants:
 * 1. What was declared last holds: a region takes the place of every one that it overlaps.
 * 2. A value is never part of a provider's state: the state has addresses and names.
 * 3. A restart without a value for every name is refused before the guest runs.
 * 4. The environment keeps its size in all runs, since a guest may be stopped between asking for the size and
 *    asking for the text: a variable has the room that its first value took, and zeros behind a shorter one.
 *
 * What is not covered: copies that the guest made, in memory that it did not declare, in locals of
 * functions on its stack, or in arguments of the call that it waits in.
 */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import {
  arrayOf,
  integer,
  mapOf,
  mismatch,
  nullable,
  type Shape,
  type ShapeOf,
  text,
} from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { OWN_PROVIDERS } from './own-providers.ts';
import { defineProvider, type Provider } from './provider.ts';

/** A secret of the user's, as it was given for this run. */
export interface Secret {
  readonly name: string;
  readonly value: Uint8Array;
}

export const SECRET_NAME_MAX = 256;
export const SECRET_BYTES_MAX = 65_536;
const REGIONS_MAX = 1024;
const VARIABLES_MAX = 1024;
const U32_MAX = 0xffff_ffff;

const regionShape = mapOf({
  address: integer(0, U32_MAX),
  lengthBytes: integer(1, U32_MAX),
  /** Of the secret that the host wrote there; null: the guest's own. */
  name: nullable(text(SECRET_NAME_MAX)),
});
export type SecretRegion = ShapeOf<typeof regionShape>;
export type SecretsState = ShapeOf<typeof parts>;

/** Of the first run's variables: their order and how long their values were. */
const roomShape = mapOf({ name: text(SECRET_NAME_MAX), lengthBytes: integer(0, SECRET_BYTES_MAX) });

const parts = mapOf({
  variables: arrayOf(roomShape, 0, VARIABLES_MAX),
  regions: arrayOf(regionShape, 0, REGIONS_MAX),
});

/** What an image says of secrets; regions are apart from each other. */
export const secretsShape: Shape<SecretsState> = (value) => {
  const found = parts(value);
  const sorted = [...found.regions].sort((a, b) => a.address - b.address);
  const apart = sorted.every(
    ({ address }, at) =>
      at === 0 || sorted[at - 1]!.address + sorted[at - 1]!.lengthBytes <= address,
  );
  if (!apart) throw mismatch('a list of variables, and of regions apart from each other');
  return found;
};

/** Every name that it speaks of. */
export function secretNames({ variables, regions }: SecretsState): string[] {
  const held = regions.flatMap(({ name }) => (name === null ? [] : [name]));
  return [...new Set([...variables.map(({ name }) => name), ...held])];
}

export class SecretRegions {
  readonly #secrets: ReadonlyMap<string, Uint8Array>;
  readonly provider: Provider;
  #variables: SecretsState['variables'];
  #regions: readonly SecretRegion[] = [];
  #memory: GuestMemory | null = null;

  constructor(secrets: readonly Secret[]) {
    this.#secrets = new Map(secrets.map(({ name, value }) => [name, value]));
    this.#variables = secrets.map(({ name, value }) => ({ name, lengthBytes: value.length }));
    this.provider = defineProvider<SecretsState>({
      kind: 'secrets',
      version: OWN_PROVIDERS.secrets.version,
      shape: secretsShape,
      prepare: () => ({ variables: this.#variables, regions: this.#regions }),
      commit: () => undefined,
      abort: () => undefined,
      rebuild: (state, { reason }) => {
        if (reason === 'restarted' || reason === 'cloned') this.#bringBack(state);
      },
      attach: ({ memory }) => {
        this.#memory = memory;
      },
    });
  }

  /** The variables that a guest finds in its environment, behind the others: `NAME=value`, zeros behind. */
  get variables(): readonly { readonly name: string; readonly entry: Uint8Array }[] {
    return this.#variables.map(({ name, lengthBytes }) => {
      const prefix = Buffer.from(`${name}=`);
      const entry = new Uint8Array(prefix.length + lengthBytes);
      entry.set(prefix);
      entry.set(this.#secrets.get(name)!, prefix.length);
      return { name, entry };
    });
  }

  /** As they are declared now, none overlapping another. */
  get regions(): readonly SecretRegion[] {
    return this.#regions;
  }

  /**
   * Declares a region. FAULT: not within memory. NOMEM: there are as many as there may be. Nothing is
   * changed then. A length of 0 declares nothing.
   */
  declare(address: number, lengthBytes: number, name: string | null = null): Errno {
    const region = { address: address >>> 0, lengthBytes: lengthBytes >>> 0, name };
    if (this.#memory?.holds(region.address, region.lengthBytes) !== true) return ERRNO.FAULT;
    if (region.lengthBytes === 0) return ERRNO.SUCCESS;
    const others = this.#regions.filter((other) => !overlap(other, region));
    if (others.length >= REGIONS_MAX) return ERRNO.NOMEM;
    this.#regions = [...others, region];
    return ERRNO.SUCCESS;
  }

  /** Takes back every declaration that overlaps. FAULT: not within memory. */
  forget(address: number, lengthBytes: number): Errno {
    const region = { address: address >>> 0, lengthBytes: lengthBytes >>> 0, name: null };
    if (this.#memory?.holds(region.address, region.lengthBytes) !== true) return ERRNO.FAULT;
    this.#regions = this.#regions.filter((other) => !overlap(other, region));
    return ERRNO.SUCCESS;
  }

  /**
   * Writes the secret of that name, zeros behind it, and declares the region. The value's length, or
   * minus an errno: NOENT: no such secret was given. RANGE: it is longer than the region. As `declare`.
   */
  write(name: string, address: number, lengthBytes: number): number {
    const value = this.#secrets.get(name);
    if (value === undefined) return -ERRNO.NOENT;
    if (value.length > lengthBytes >>> 0) return -ERRNO.RANGE;
    const declared = this.declare(address, lengthBytes, name);
    if (declared !== ERRNO.SUCCESS) return -declared;
    this.#fill({ address: address >>> 0, lengthBytes: lengthBytes >>> 0, name }, value);
    return value.length;
  }

  #fill({ address, lengthBytes }: SecretRegion, value: Uint8Array): void {
    const { bytes } = this.#memory!;
    bytes.fill(0, address, address + lengthBytes);
    bytes.set(value, address);
  }

  #bringBack(state: SecretsState): void {
    const missing = secretNames(state).filter((name) => !this.#secrets.has(name));
    if (missing.length > 0) throw notGiven(missing);
    for (const { name, lengthBytes } of [...state.variables, ...state.regions]) {
      const value = name === null ? undefined : this.#secrets.get(name);
      if (value !== undefined && value.length > lengthBytes) {
        throw tooLong(name!, value.length, lengthBytes);
      }
    }
    for (const region of state.regions) {
      const { address, lengthBytes, name } = region;
      if (this.#memory?.holds(address, lengthBytes) !== true) {
        throw new HostError('ERR_MALFORMED_IMAGE', 'The image has a secret outside of its memory.');
      }
      if (name !== null) this.#fill(region, this.#secrets.get(name)!);
    }
    this.#variables = state.variables;
    this.#regions = state.regions;
  }
}

function overlap(a: SecretRegion, b: SecretRegion): boolean {
  return a.address < b.address + b.lengthBytes && b.address < a.address + a.lengthBytes;
}

function notGiven(names: readonly string[]): HostError {
  const shown = [...new Set(names)].join(', ');
  return new HostError(
    'ERR_RESOURCE_NOT_GRANTED',
    `The guest holds secrets that are not given now: ${shown}.`,
    { facts: { secrets: shown }, hint: 'give each with --env-secret NAME or NAME=FILE' },
  );
}

function tooLong(name: string, valueBytes: number, roomBytes: number): HostError {
  return new HostError(
    'ERR_RESOURCE_NOT_GRANTED',
    `Today's secret ${name} is longer than the guest's place for it.`,
    {
      facts: { secret: name, bytes: valueBytes, room: roomBytes },
      hint: 'give one that is as long as before, or run the job from its start',
    },
  );
}
