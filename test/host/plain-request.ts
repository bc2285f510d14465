import type { RunRequest } from '../../src/host/run-request.ts';

/** What a command asks for that names no option. */
export const plainRequest: RunRequest = {
  modulePath: '/m.wasm',
  args: ['m.wasm'],
  env: [],
  preopens: [],
  providers: [],
  providerPaths: [],
  fuel: null,
  memoryPages: 1,
  tableEntries: 1,
  timeoutMs: null,
  checkpointEveryMs: null,
  invoke: null,
  trapUnknownImports: false,
  wasi: 'stasis',
  keepLog: true,
  removeAtEnd: false,
};
