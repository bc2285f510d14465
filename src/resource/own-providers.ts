/**
 * The host's own providers: the version of what each writes into images, and the older ones that it can
 * still read. One table, so that a host can tell a checkpoint's from its own without loading any of them.
 */
export interface OwnProvider {
  readonly version: number;
  readonly reads: readonly number[];
}

export const OWN_PROVIDERS = {
  clock: { version: 1, reads: [] },
  random: { version: 1, reads: [] },
  secrets: { version: 1, reads: [] },
  files: { version: 1, reads: [] },
  /** Handles of the kinds `file` and `directory` are in version 2 of their own. */
  handles: { version: 2, reads: [] },
  pools: { version: 1, reads: [] },
  kv: { version: 1, reads: [] },
  'wasmer-wasi': { version: 1, reads: [] },
} as const satisfies Readonly<Record<string, OwnProvider>>;
