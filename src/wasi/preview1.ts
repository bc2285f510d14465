/**
 * WASI snapshot preview1: all 46 calls, by name, for the import module `wasi_snapshot_preview1`; and the
 * 45 of snapshot 0, for `wasi_unstable`, which older programs import.
 */
import { PREVIEW1, SNAPSHOT0, type Snapshot } from '../abi/snapshot.ts';
import { argsCalls } from './args.ts';
import { type Call, type Calls, contained } from './calls.ts';
import { clockCalls } from './clock.ts';
import { environCalls } from './environ.ts';
import type { WasiEnvironment } from './environment.ts';
import { fdCalls } from './fd.ts';
import { fdIoCalls } from './fd-io.ts';
import { fdReaddirCalls } from './fd-readdir.ts';
import { fdStatCalls } from './fd-stat.ts';
import { pathEntriesCalls } from './path-entries.ts';
import { pathOpenCalls } from './path-open.ts';
import { pathStatCalls } from './path-stat.ts';
import { pollCalls } from './poll.ts';
import { procCalls } from './proc.ts';
import { randomCalls } from './random.ts';
import { schedCalls } from './sched.ts';
import { sockCalls } from './sock.ts';

export const PREVIEW1_MODULE = 'wasi_snapshot_preview1';
export const SNAPSHOT0_MODULE = 'wasi_unstable';

/**
 * The calls of one guest. Each takes what the guest passes, i32 as number and i64 as bigint, and returns
 * an errno or INTERRUPTED; it throws nothing but `GuestExit` and `LimitReached`. `proc_exit` never returns.
 */
export function createPreview1(environment: WasiEnvironment): Calls {
  return guard(callsOf(environment, PREVIEW1));
}

/** The same calls with the structures of snapshot 0: see `abi/snapshot.ts`. */
export function createSnapshot0(environment: WasiEnvironment): Calls {
  const { sock_accept: _later, ...calls } = callsOf(environment, SNAPSHOT0);
  return guard(calls);
}

function callsOf(environment: WasiEnvironment, snapshot: Snapshot): Calls {
  return {
    ...argsCalls(environment),
    ...environCalls(environment),
    ...clockCalls(environment),
    ...fdCalls(environment),
    ...fdIoCalls(environment, snapshot),
    ...fdStatCalls(environment, snapshot),
    ...fdReaddirCalls(environment),
    ...pathOpenCalls(environment),
    ...pathStatCalls(environment, snapshot),
    ...pathEntriesCalls(environment),
    ...pollCalls(environment, snapshot),
    ...procCalls(),
    ...randomCalls(environment),
    ...schedCalls(),
    ...sockCalls(environment),
  };
}

function guard(calls: Calls): Calls {
  const guarded: Record<string, Call> = {};
  for (const [name, call] of Object.entries(calls)) guarded[name] = contained(call);
  return Object.freeze(guarded);
}
