/**
 * The part that `run` and `restore` share: host the job here, or hand it to a detached host.
 */
import { fileURLToPath } from 'node:url';
import { startDetached } from '../host/detach.ts';
import type { RunEnding } from '../host/run-ending.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { hostJob, type JobOrder, type JobReport, type JobStarted } from './job-host.ts';
import { describeReceipt } from './receipt-text.ts';
import { type ErrorObject, errorFromObject, reportError } from './report-error.ts';
import { HOST_SIGNALS } from './signals.ts';
import { withProgress } from './terminal.ts';

/** Stays until the guest ends; the exit status is the guest's. */
export async function hostInForeground(
  context: CommandContext,
  order: JobOrder,
  json: boolean,
): Promise<void> {
  const { err } = context;
  const style = { json, debug: false, stream: err };
  const job = await hostJob(order, {
    inheritStdio: true,
    onStarted: ({ receipt }) => {
      // The full receipt comes with --dry-run; here one line, and only where a person looks.
      if (receipt !== null && err.isTTY && !json) err.write(`${describeReceipt(receipt)[0]}\n`);
    },
    onTrouble: (error) => {
      reportError(error, style);
    },
  });
  for (const signal of HOST_SIGNALS) process.on(signal, () => job.kill(signal));
  const report = await job.ended;
  if (json) printJson(err, report);
  else describeEnding(context, report);
  context.exitWith(report.status);
}

/** Starts a detached host and returns when the guest has started. */
export async function hostInBackground(
  context: CommandContext,
  order: JobOrder,
  json: boolean,
): Promise<void> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const entry = fileURLToPath(new URL(`./detached-host.${extension}`, import.meta.url));
  const answer = (await withProgress(
    'starting the guest',
    context.err,
    startDetached(process.execPath, entry, order),
  )) as { readonly started?: JobStarted; readonly failed?: ErrorObject };
  if (answer.failed !== undefined) throw errorFromObject(answer.failed);
  const started = answer.started as JobStarted;
  if (json) printJson(context.out, started);
  else context.out.write(`${started.job}\n`);
}

/** Endings that are not the guest's own deserve a sentence. */
function describeEnding({ err }: CommandContext, { ending }: JobReport): void {
  if (ending.kind === 'failed') {
    reportError(errorFromObject(ending), { json: false, debug: false, stream: err });
    return;
  }
  const sentence = endingSentence(ending);
  if (sentence !== null) err.write(`stasis: ${sentence}\n`);
}

function endingSentence(ending: Exclude<RunEnding, { kind: 'failed' }>): string | null {
  switch (ending.kind) {
    case 'exit':
      return null;
    case 'trap':
      return `the guest trapped: ${ending.message}`;
    case 'limit':
      return ending.limit === 'fuel'
        ? 'the guest used up its fuel'
        : `the guest reached its ${ending.limit} limit`;
    case 'deadline':
      return 'the guest reached its deadline';
    case 'signal':
      return `the guest was ended by ${ending.signal}`;
    case 'checkpointed':
      return 'the guest stopped after its checkpoint';
  }
}
