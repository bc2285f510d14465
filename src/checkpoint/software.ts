/**
 * What the software is: as it is sealed with a checkpoint, and as it is now, to be held against that.
 */
import type { ForeignProvider, ProviderKind } from '../cell/protocol.ts';
import type { Acceptance } from '../host/policy.ts';
import { providerFile } from '../host/provider-file.ts';
import { HOST_VERSION } from '../host/version.ts';
import { IMAGE_FORMAT } from '../image/image.ts';
import { INSTRUMENTER_VERSION } from '../instrument/version.ts';
import { OWN_PROVIDERS } from '../resource/own-providers.ts';
import type { ProviderIdentity, SoftwareIdentity, SoftwareNow } from '../vault/checkpoint-info.ts';
import { layerIdentity, type WasiLayer } from '../wasi/layers.ts';

/** What a guest is made of, as a host knows it before the guest runs. */
export interface GuestSoftware {
  /** Hex SHA-256 of the module as the user gave it. */
  readonly module: string;
  readonly wasi: WasiLayer;
  /** Of the user's. */
  readonly providers: readonly ForeignProvider[];
}

/** What the cell and the instrumenter say of it, once it runs. */
export interface RunningSoftware {
  /** Hex SHA-256. */
  readonly instrumented: string;
  /** The host's own first, then one for each of the user's. */
  readonly kinds: readonly ProviderKind[];
}

/** `engine`: V8's version. */
export function sealedSoftware(
  guest: GuestSoftware,
  running: RunningSoftware,
  engine: string,
): SoftwareIdentity {
  const ownCount = running.kinds.length - guest.providers.length;
  return {
    ...fields(guest, engine),
    instrumented: running.instrumented,
    providers: running.kinds.map(({ kind, version }, at) => {
      const foreign = guest.providers[at - ownCount];
      return { kind, version, ...fileOf(foreign) };
    }),
  };
}

/** `instrumented`: of a module that was instrumented here before, else null. */
export function softwareNow(
  guest: GuestSoftware,
  instrumented: string | null,
  engine: string,
  accept: Acceptance,
): SoftwareNow {
  return {
    ...fields(guest, engine),
    instrumented,
    providers: [
      ...Object.entries(OWN_PROVIDERS).map(([kind, { version }]) => {
        return { kind, version, ...fileOf(undefined) };
      }),
      ...guest.providers.map((foreign) => {
        return { kind: null, version: null, ...fileOf(foreign) };
      }),
    ],
    accept,
    reads: Object.fromEntries(
      Object.entries(OWN_PROVIDERS).map(([kind, { reads }]) => [kind, reads]),
    ),
  };
}

function fields({ module, wasi }: GuestSoftware, engine: string) {
  return {
    module,
    instrumenter: INSTRUMENTER_VERSION,
    host: HOST_VERSION,
    imageFormat: IMAGE_FORMAT,
    engine: `v8 ${engine}`,
    // Ours has the host's version.
    ...(wasi === 'stasis' ? {} : { wasi: layerIdentity(wasi) }),
  };
}

function fileOf(foreign: ForeignProvider | undefined): Pick<ProviderIdentity, 'file' | 'digest'> {
  if (foreign === undefined) return { file: null, digest: null };
  return { file: providerFile(foreign), digest: foreign.digest };
}
