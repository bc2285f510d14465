/** The public entry: what another program may build on. */
export { ERROR_CODES, type ErrorCode } from './fault/codes.ts';
export { type Facts, HostError } from './fault/host-error.ts';
export { type Instrumented, instrument } from './instrument/instrument.ts';
export { INSTRUMENTER_VERSION } from './instrument/version.ts';
