/**
 * Whether the engine notes the stack in errors that are made: yes while a guest runs, so that a trap says where
 * it happened; no while the host works for it, where failing calls of the system are errors too, each of which
 * would cost some microseconds a frame, and no while it unwinds, which throws once a frame.
 */

/** Innermost frames that are noted; what is outside of them is not even counted. */
export const NOTED_FRAMES_MAX = 4096;

export function noteTraces(): void {
  Error.stackTraceLimit = NOTED_FRAMES_MAX;
}

export function leaveTracesOut(): void {
  Error.stackTraceLimit = 0;
}
