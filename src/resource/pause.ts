/**
 * How a call that a guest made waits, and how it gives way to a checkpoint.
 *
 * Every call of the host is made on the guest's thread and blocks it. A call that would wait for long
 * waits through `Pause`, so that a request for a checkpoint ends the wait.
 */

/** A descriptor of this process, and what it is waited for to be ready for. */
export interface AwaitedDescriptor {
  readonly hostFd: number;
  readonly read: boolean;
  readonly write: boolean;
}

export interface Pause {
  /**
   * Blocks the guest thread until the first of: `untilNs` on the guest's monotonic clock (null: no
   * limit), news on stdin (with `on.stdin`: bytes, its end, or a failure), one of `on.descriptors` being
   * ready or broken, a checkpoint asked for. `ready` may come early: the caller looks for itself.
   */
  wait(
    untilNs: bigint | null,
    on: { readonly stdin: boolean; readonly descriptors?: readonly AwaitedDescriptor[] },
  ): 'timeout' | 'ready' | 'interrupted';
}

/**
 * Returned by a call instead of its result: the guest is to be captured, and the same call with the same
 * arguments made again afterwards. Never seen by a guest.
 *
 * No i32 and no i64 is this number, so it can't be mistaken for a result that a call means: -1 is one.
 */
export const INTERRUPTED = -(2 ** 1023);
