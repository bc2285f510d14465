/** Waiting for others' code no longer than agreed. */
import { HostError } from '../fault/host-error.ts';

/**
 * What `work` gives, or its failure, or a HostError ERR_TIMEOUT after `deadlineMs` milliseconds that
 * names `what`. What `work` does after that is ignored. Work that never yields can't be interrupted here.
 */
export async function withinDeadline<T>(
  what: string,
  deadlineMs: number,
  work: () => T | Promise<T>,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(() => {
    reject(
      new HostError('ERR_TIMEOUT', `${what} took longer than ${deadlineMs} ms.`, {
        facts: { deadlineMs },
      }),
    );
  }, deadlineMs);
  (async () => work())().then(resolve, reject);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
