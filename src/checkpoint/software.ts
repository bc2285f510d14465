import type { ForeignProvider } from '../cell/protocol.ts';
import { identifyProviders } from '../host/provider-file.ts';
import { HOST_VERSION } from '../host/version.ts';
import { IMAGE_FORMAT } from '../image/image.ts';
import { INSTRUMENTER_VERSION } from '../instrument/version.ts';
import type { SoftwareIdentity } from '../vault/checkpoint-info.ts';
import { layerIdentity, type WasiLayer } from '../wasi/layers.ts';

/**
 * What the software is now, for the module with that digest, on that layer, with these providers of the
 * user's. `engine`: V8's version.
 */
export function softwareNow(
  module: string,
  engine: string,
  wasi: WasiLayer,
  providers: readonly ForeignProvider[],
): SoftwareIdentity {
  return {
    module,
    instrumenter: INSTRUMENTER_VERSION,
    host: HOST_VERSION,
    imageFormat: IMAGE_FORMAT,
    engine: `v8 ${engine}`,
    // Ours has the host's version.
    ...(wasi === 'stasis' ? {} : { wasi: layerIdentity(wasi) }),
    ...(providers.length === 0 ? {} : { providers: identifyProviders(providers) }),
  };
}
