/** What of the machine bears on the figures, and nothing that names it. */
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

export interface MachineFacts {
  readonly platform: string;
  readonly architecture: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly v8: string;
  /** Processes that wanted to run in the last minute, this one and its children included. */
  readonly loadAtEnd: number;
}

export function machineFacts(): MachineFacts {
  return {
    platform: process.platform,
    architecture: process.arch,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    v8: process.versions.v8,
    loadAtEnd: Math.round(loadavg()[0]! * 10) / 10,
  };
}
