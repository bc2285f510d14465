/**
 * Entry of the process that hosts a detached job; started by `host/detach.ts`, never by hand.
 */
import { HostError } from '../fault/host-error.ts';
import { receiveOrder } from '../host/detach.ts';
import { type HostedJob, hostJob } from './job-host.ts';
import type { JobOrder } from './job-order.ts';
import { errorObject } from './report-error.ts';
import { HOST_SIGNALS } from './signals.ts';

const { order, answer } = await receiveOrder();
let job: HostedJob | null = null;
for (const signal of HOST_SIGNALS) process.on(signal, () => job?.kill(signal));

try {
  job = await hostJob(order as JobOrder, {
    stdio: null,
    onStarted: (started) => answer({ started }),
    // It is in the process table for `stasis ps` to show.
    onTrouble: () => {},
  });
  const { ending } = await job.ended;
  // Has no effect when the guest started, since that was answered then.
  if (ending.kind === 'failed') answer({ failed: ending });
  else answer({ failed: errorObject(new HostError('ERR_CELL_LOST', 'The guest never started.')) });
} catch (error) {
  if (!(error instanceof HostError)) throw error;
  answer({ failed: errorObject(error) });
}
