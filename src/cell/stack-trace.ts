/**
 * Which calls of wasm functions are on the stack, as the engine's own stack trace tells it.
 *
 * It costs some microseconds a frame and takes nothing down. It is a hint and no more: of functions that
 * the engine has inlined it may lack some, and a guest's module can give itself any name.
 */
import { NOTED_FRAMES_MAX } from './trace-limit.ts';
import { GUEST_MODULE, numberOfBatch, type TracedCall } from './twin-orders.ts';

/** Innermost frames; the rest of a deeper stack was there before. */
const FRAMES_MAX = 500;

const WASM_URL = /^wasm:\/\/wasm\/(?:(.*)-)?[0-9a-f]+$/s;

/** The batch by the module's address; null where it is no wasm module's. */
const batches = new Map<string, number | null>();
/** Addresses are few: a guest's, those of batches, our own files. */
const ADDRESSES_MAX = 4096;

/** The calls on the stack of this thread, each once. */
export function traceStack(): TracedCall[] {
  const calls = new Map<string, TracedCall>();
  for (const call of traceCalls(FRAMES_MAX)) calls.set(`${call.batch}:${call.position}`, call);
  return [...calls.values()];
}

/** The calls among the innermost `framesMax` frames of this thread, innermost first. */
export function traceCalls(framesMax: number): TracedCall[] {
  const holder: { stack?: unknown } = {};
  const { prepareStackTrace, stackTraceLimit } = Error;
  Error.prepareStackTrace = (_error, sites) => sites;
  Error.stackTraceLimit = framesMax;
  try {
    Error.captureStackTrace(holder, traceCalls);
    const sites = holder.stack as NodeJS.CallSite[];
    const calls: TracedCall[] = [];
    for (const site of sites) {
      const batch = batchAt(site.getScriptNameOrSourceURL());
      if (batch !== null) calls.push({ batch, position: site.getPosition() });
    }
    return calls;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The guest's part of the trace that an error was made with. */
export interface ErrorTrace {
  /** Innermost first. */
  readonly calls: readonly TracedCall[];
  /** Nothing of the host's is inside of them. */
  readonly isInnermost: boolean;
  /** There were more. */
  readonly isCut: boolean;
}

export function callsOfError(error: Error): ErrorTrace {
  const { prepareStackTrace } = Error;
  let sites: readonly NodeJS.CallSite[] = [];
  Error.prepareStackTrace = (_error, found) => {
    sites = found;
    return '';
  };
  try {
    void error.stack;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
  }
  const calls: TracedCall[] = [];
  // The guest is called by us and calls us: it is the outermost stretch that is not JavaScript.
  let at = sites.length - 1;
  for (; at >= 0; at--) {
    const site = sites[at]!;
    const batch = batchAt(site.getScriptNameOrSourceURL());
    if (batch !== null) calls.push({ batch, position: site.getPosition() });
    else if (calls.length > 0) break;
  }
  return { calls: calls.reverse(), isInnermost: at < 0, isCut: sites.length === NOTED_FRAMES_MAX };
}

function batchAt(address: string | null): number | null {
  if (address === null) return null;
  let batch = batches.get(address);
  if (batch === undefined) {
    const match = WASM_URL.exec(address);
    batch = match === null ? null : (numberOfBatch(match[1] ?? '') ?? GUEST_MODULE);
    if (batches.size === ADDRESSES_MAX) batches.clear();
    batches.set(address, batch);
  }
  return batch;
}
