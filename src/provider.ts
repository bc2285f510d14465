/**
 * `stasis/provider`: what a provider of your own is made with. docs/providers.md shows one whole.
 */
export { ERRNO } from './abi/errno.ts';
export { GuestMemory, type MemoryLike } from './abi/guest-memory.ts';
export type { CborValue } from './cbor/cbor.ts';
export {
  anyValue,
  arrayOf,
  boolean,
  bytes,
  integer,
  mapOf,
  mismatch,
  nullable,
  number,
  oneOf,
  recordOf,
  type Shape,
  type ShapeOf,
  text,
  tupleOf,
  variantOf,
  wideInteger,
} from './cbor/shape.ts';
export type { Clock } from './resource/clock.ts';
export { INTERRUPTED, type Pause } from './resource/pause.ts';
export {
  DEADLINE_MS_DEFAULT,
  defineProvider,
  type GuestAccess,
  type GuestFunction,
  type Provider,
  type ProviderDefinition,
  type ProviderImports,
  type Reason,
  type RebuildContext,
} from './resource/provider.ts';
