/**
 * What an owner may use on this machine, as today's policy has it. `policy-file.ts` reads it from a file;
 * where there is none, everything is allowed that the owner's own user may do.
 *
 * Plain data. A bound that is null bounds nothing; an empty list allows nothing.
 */

/** Most of each that an owner may have at one time. */
export interface Caps {
  /** Jobs that run. */
  readonly jobs: number | null;
  /** Memory limits of the running guests together. */
  readonly memoryBytes: number | null;
  /** What the logs of the owner's jobs take up. */
  readonly logBytes: number | null;
  /** What the owner's checkpoints take up in the vault. */
  readonly vaultBytes: number | null;
  /** Checkpoints that are kept. */
  readonly checkpoints: number | null;
}

export interface DirectoryBound {
  /** Absolute; what lies below is meant as well. */
  readonly path: string;
  readonly access: 'ro' | 'rw';
}

/** What an owner may give to guests, at most. */
export interface GrantBounds {
  readonly dirs: readonly DirectoryBound[] | null;
  /** `HOST:PORT`, where `*` is any host or any port. */
  readonly listen: readonly string[] | null;
  /** Page files, or directories that they lie in. */
  readonly pools: readonly string[] | null;
  /** Databases, or directories that they lie in. */
  readonly kv: readonly string[] | null;
  /** Files of providers, or directories that they lie in. */
  readonly providers: readonly string[] | null;
  /** Names of variables. */
  readonly env: readonly string[] | null;
  readonly stdin: boolean;
}

/** Older software than today's whose checkpoints may be restored all the same. */
export interface Acceptance {
  /** Engines, such as `v8 14.*`; a `*` stands for anything. */
  readonly engine: readonly string[];
  /** Versions of this program, such as `0.1.*`. */
  readonly host: readonly string[];
  /** Kinds of providers: they still have to say that they read the older state. */
  readonly providers: readonly string[];
}

/** What the policy says of one owner. */
export interface OwnerPolicy {
  readonly caps: Caps;
  readonly grants: GrantBounds;
  readonly accept: Acceptance;
}

/** A part of the policy: what is not named is as elsewhere. */
export interface PolicyPart {
  readonly caps?: { readonly [K in keyof Caps]?: Caps[K] | undefined } | undefined;
  readonly grants?: { readonly [K in keyof GrantBounds]?: GrantBounds[K] | undefined } | undefined;
}

export interface Policy {
  /** Of every owner. */
  readonly defaults: PolicyPart;
  /** By owner, `uid:1000`; key by key in place of the defaults. */
  readonly owners: ReadonlyMap<string, PolicyPart>;
  readonly accept: Acceptance;
}

export const NO_CAPS: Caps = {
  jobs: null,
  memoryBytes: null,
  logBytes: null,
  vaultBytes: null,
  checkpoints: null,
};

const NO_BOUNDS: GrantBounds = {
  dirs: null,
  listen: null,
  pools: null,
  kv: null,
  providers: null,
  env: null,
  stdin: true,
};

/** Where there is no policy file. */
export const NO_POLICY: Policy = {
  defaults: {},
  owners: new Map(),
  accept: { engine: [], host: [], providers: [] },
};

export function policyFor(policy: Policy, owner: string): OwnerPolicy {
  const own = policy.owners.get(owner) ?? {};
  return {
    caps: overlay(overlay(NO_CAPS, policy.defaults.caps), own.caps),
    grants: overlay(overlay(NO_BOUNDS, policy.defaults.grants), own.grants),
    accept: policy.accept,
  };
}

/** `base` with what `over` names. */
function overlay<T extends object>(
  base: T,
  over: { readonly [K in keyof T]?: T[K] | undefined } | undefined,
): T {
  const named = Object.entries(over ?? {}).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(named) };
}
