/**
 * Every code that a `HostError` can carry, and the exit status that the command line gives it.
 *
 * Exit statuses: 125 the host failed or refused, 126 the file is not a module that can run,
 * 127 there is no such file. A guest's own endings are in `exit-status.ts`.
 */
export const ERROR_CODES = {
  // What the user asked for.
  ERR_USAGE: 125,
  ERR_NO_SUCH_FILE: 127,
  ERR_NO_SUCH_DIRECTORY: 125,
  ERR_CANNOT_LISTEN: 125,
  ERR_NO_SUCH_JOB: 125,
  ERR_NO_SUCH_CHECKPOINT: 125,
  ERR_JOB_EXISTS: 125,
  ERR_JOB_RUNNING: 125,
  ERR_JOB_NOT_RUNNING: 125,
  ERR_NO_LOG: 125,
  // A host behind a socket.
  ERR_BUSY: 125,
  ERR_HOST_UNREACHABLE: 125,
  ERR_HOST_UNTRUSTED: 125,
  ERR_HOST_RUNNING: 125,
  ERR_NOT_SERVED: 125,
  ERR_POLICY_FILE: 125,
  ERR_NOT_ALLOWED: 125,
  // What the module is.
  ERR_MODULE_UNREADABLE: 126,
  ERR_NOT_WASM: 126,
  ERR_COMPONENT: 126,
  ERR_MALFORMED_MODULE: 126,
  ERR_INVALID_MODULE: 126,
  ERR_UNSUPPORTED_FEATURE: 126,
  ERR_UNKNOWN_IMPORT: 126,
  ERR_NO_ENTRY: 126,
  // What a restore was refused for.
  ERR_OWNER_MISMATCH: 125,
  ERR_REQUESTER_MISMATCH: 125,
  ERR_SOFTWARE_MISMATCH: 125,
  ERR_CHECKPOINT_USED: 125,
  ERR_RESOURCE_CHANGED: 125,
  ERR_RESOURCE_NOT_GRANTED: 125,
  ERR_POOL_UNUSABLE: 125,
  ERR_MALFORMED_IMAGE: 125,
  ERR_NOT_CAPTURABLE: 125,
  // What a provider did.
  ERR_PROVIDER: 125,
  // The vault.
  ERR_VAULT_KEY: 125,
  ERR_VAULT_VERSION: 125,
  ERR_VAULT_DAMAGED: 125,
  ERR_VAULT_BUSY: 125,
  ERR_VAULT_ROLLED_BACK: 125,
  ERR_QUOTA: 125,
  ERR_DISK_FULL: 125,
  ERR_IO: 125,
  // The state directory.
  ERR_STATE_ACCESS: 125,
  ERR_STATE_VERSION: 125,
  ERR_STATE_DAMAGED: 125,
  ERR_STATE_BUSY: 125,
  // The machinery.
  ERR_CANNOT_CONFINE: 125,
  ERR_CELL_LOST: 125,
  ERR_PROTOCOL: 125,
  ERR_TIMEOUT: 125,
  ERR_MALFORMED_CBOR: 125,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;
