import { BOUNDS_DEFAULT } from '../resource/bounds.ts';
import type { StartMessage } from './protocol.ts';

/** The least that a cell can be started with. */
export const EMPTY_START: StartMessage = {
  type: 'start',
  cached: false,
  args: [],
  env: [],
  preopens: [],
  keeping: null,
  pools: [],
  kv: [],
  providers: [],
  limits: {
    fuel: null,
    memoryPages: 1,
    tableEntries: 1,
    outputBytes: null,
    onLimit: 'end',
    ...BOUNDS_DEFAULT,
  },
  clock: 'coarse',
  invoke: null,
  trapUnknownImports: false,
  wasi: 'stasis',
  osr: false,
  restore: null,
  reason: 'restarted',
  instrumented: null,
  secrets: [],
  triggers: [],
  digestMemory: false,
  logFd: null,
  listeners: [],
  streams: { stdin: { fd: 0, isOwn: false }, stdout: null, stderr: null },
};
