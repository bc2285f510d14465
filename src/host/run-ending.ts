/**
 * How a run of a job ended, as it is recorded and reported. A guest's own endings come from the cell;
 * the others are the host's doing or finding.
 */
import type { Ending } from '../cell/protocol.ts';
import { ERROR_CODES, type ErrorCode } from '../fault/codes.ts';
import { EXIT_STATUS, guestStatus, signalStatus } from '../fault/exit-status.ts';
import type { Facts, HostError } from '../fault/host-error.ts';
import type { LimitName } from '../resource/limit-reached.ts';

export type RunEnding =
  | Ending
  | { readonly kind: 'deadline' }
  /** `by`: host when somebody asked for it, outside when the process was simply gone. */
  | { readonly kind: 'signal'; readonly signal: string; readonly by: 'host' | 'outside' }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | null;
      readonly facts: Facts;
    };

const LIMIT_STATUS: Readonly<Record<LimitName, number>> = {
  fuel: EXIT_STATUS.outOfFuel,
  memory: EXIT_STATUS.memoryLimit,
  table: EXIT_STATUS.tableLimit,
  output: EXIT_STATUS.outputLimit,
  handles: EXIT_STATUS.handleLimit,
  files: EXIT_STATUS.fileLimit,
  path: EXIT_STATUS.pathLimit,
  iovecs: EXIT_STATUS.iovecLimit,
  subscriptions: EXIT_STATUS.subscriptionLimit,
  random: EXIT_STATUS.randomLimit,
  private: EXIT_STATUS.privateLimit,
  checkpoints: EXIT_STATUS.checkpointLimit,
};

/** The exit status that stands for an ending. */
export function endingStatus(ending: RunEnding): number {
  switch (ending.kind) {
    case 'exit':
      return guestStatus(ending.code);
    case 'trap':
      return EXIT_STATUS.trap;
    case 'limit':
      return LIMIT_STATUS[ending.limit];
    case 'checkpointed':
      return EXIT_STATUS.success;
    case 'deadline':
      return EXIT_STATUS.deadline;
    case 'signal':
      return signalStatus(ending.signal);
    case 'failed':
      return ERROR_CODES[ending.code];
  }
}

export function failedEnding(error: HostError): RunEnding {
  const { code, message, hint, facts } = error;
  return { kind: 'failed', code, message, hint: hint ?? null, facts };
}
