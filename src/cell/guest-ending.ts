/** How a guest came to its end, and what it left. */
import { createHash } from 'node:crypto';
import { LimitReached } from '../resource/limit-reached.ts';
import { GuestExit } from '../wasi/environment.ts';
import { engine } from '../wasm/engine.ts';
import { InstantiationTrap } from './guest-instance.ts';
import type { Ending } from './protocol.ts';

/** SHA-256 of all memories, in hexadecimal. */
export function digestOf(memories: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const memory of memories) hash.update(memory);
  return hash.digest('hex');
}

const STACK_EXHAUSTED = 'Maximum call stack size exceeded';

/** How a guest ended whose run threw. What is not the guest's doing is thrown on. */
export function endingOf(error: unknown): Ending {
  if (error instanceof GuestExit) return { kind: 'exit', code: error.code };
  if (error instanceof LimitReached) return { kind: 'limit', limit: error.limit };
  if (error instanceof InstantiationTrap) return { kind: 'trap', message: error.message };
  if (error instanceof engine.RuntimeError) return { kind: 'trap', message: error.message };
  if (error instanceof RangeError && error.message === STACK_EXHAUSTED) {
    return { kind: 'trap', message: 'call stack exhausted' };
  }
  throw error;
}
