import { NO_GRANTS } from '../../src/host/cell-command.ts';

/** What a guest is supervised with when it has no streams, no rights and no clock over it, and no one to be told. */
export const UNATTENDED = {
  grants: NO_GRANTS,
  confine: 'auto',
  logFd: null,
  stdio: null,
  identity: null,
  furtherFds: [],
  timeoutMs: null,
  checkpointEveryMs: null,
  seal: () => Promise.reject(new Error('nothing is to be captured')),
  onInstrumented: () => {},
  onStarted: () => {},
  onTrouble: (error: Error) => {
    throw error;
  },
} as const;
