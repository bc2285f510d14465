/**
 * Which implementation of WASI preview1 a guest runs on.
 *
 * `stasis` is ours. `wasmer` is the package `@wasmer/wasi`, whose files and descriptors lie in a memory
 * of its own (`wasmer-layer.ts`). An image belongs to one of them, and to one version of it.
 */
export const WASI_LAYERS = ['stasis', 'wasmer'] as const;

export type WasiLayer = (typeof WASI_LAYERS)[number];

/** The release that is pinned in `package.json`: its object table and imports are known by name. */
export const WASMER_VERSION = '1.2.2';

/** What a checkpoint's software identity says of the layer. Ours has the version of the host. */
export function layerIdentity(layer: WasiLayer): string {
  return layer === 'stasis' ? 'stasis' : `@wasmer/wasi ${WASMER_VERSION}`;
}
