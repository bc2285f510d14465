/**
 * The part that `run` and `restore` share: have a job hosted, and tell how it went.
 */
import { styleText } from 'node:util';
import type { ConfineMode } from '../confine/confinement.ts';
import { visibleText } from '../fault/visible-text.ts';
import type { RunEnding } from '../host/run-ending.ts';
import type { LimitName } from '../resource/limit-reached.ts';
import { type CommandContext, printJson } from './command-context.ts';
import type { JobAsk } from './host.ts';
import type { JobReport } from './job-host.ts';
import { describeReceipt } from './receipt-text.ts';
import { errorFromObject, reportError } from './report-error.ts';
import { HOST_SIGNALS } from './signals.ts';
import { withProgress } from './terminal.ts';
import { describeTrap } from './trap-text.ts';

/** Stays until the guest ends; the exit status is the guest's. */
export async function hostInForeground(
  context: CommandContext,
  ask: JobAsk,
  json: boolean,
): Promise<void> {
  const { err } = context;
  const style = { json, debug: false, stream: err };
  const host = await context.host();
  const job = await host.run(ask, {
    onStarted: ({ receipt, listening, confine }) => {
      warnUnconfined(context, confine);
      tellListening(context, listening);
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
  ask: JobAsk,
  json: boolean,
): Promise<void> {
  const host = await context.host();
  const started = await withProgress('starting the guest', context.err, host.start(ask));
  if (json) {
    printJson(context.out, started);
    return;
  }
  context.out.write(`${visibleText(started.job)}\n`);
  warnUnconfined(context, started.confine);
  tellListening(context, started.listening);
}

function warnUnconfined({ err }: CommandContext, confine: ConfineMode): void {
  if (confine !== 'off') return;
  err.write("stasis: the kernel does not confine the guest's process (--confine off)\n");
}

/** A line on stderr each, as the port may be one that nobody chose. */
function tellListening({ err }: CommandContext, listening: readonly string[]): void {
  for (const address of listening) err.write(`stasis: listening on ${visibleText(address)}\n`);
}

/** Endings that are not the guest's own deserve a sentence. */
function describeEnding({ err }: CommandContext, report: JobReport): void {
  const { ending } = report;
  if (ending.kind === 'failed') {
    reportError(errorFromObject(ending), { json: false, debug: false, stream: err });
    return;
  }
  const sentence = endingSentence(ending);
  if (sentence !== null) err.write(`stasis: ${visibleText(sentence)}\n`);
  if (ending.kind === 'trap' && ending.stack !== undefined) {
    for (const line of describeTrap(ending.stack)) err.write(`${line}\n`);
  }
  const option = raisingOption(ending);
  if (option === null) return;
  const again = report.kept && report.checkpoints > 0 ? `stasis restore ${report.job}` : 'run it';
  err.write(`${styleText('cyan', 'try:', { stream: err })} ${again} with a larger ${option}\n`);
}

/** The option that lets a guest go on that was ended by a bound; null when it was ended otherwise. */
function raisingOption(ending: RunEnding): string | null {
  if (ending.kind === 'deadline') return '--timeout';
  if (ending.kind !== 'limit') return null;
  return {
    fuel: '--fuel',
    memory: '--max-memory',
    table: '--max-table',
    output: '--max-output',
    handles: '--max-handles',
    files: '--max-files',
    path: null,
    iovecs: null,
    subscriptions: null,
    random: '--max-random',
    private: '--max-private',
    checkpoints: '--max-checkpoints',
  }[ending.limit];
}

const LIMIT_SENTENCE: Readonly<Record<LimitName, string>> = {
  fuel: 'the guest used up its fuel',
  memory: 'the guest reached its memory limit',
  table: 'the guest reached its table limit',
  output: 'the guest reached its output limit',
  handles: 'the guest kept asking for more handles than it may have open',
  files: 'the guest kept opening more files than it may have open',
  path: 'the guest handed over a path of more than 64 KiB',
  iovecs: 'the guest handed over more than 65,536 buffers in one call',
  subscriptions: 'the guest waited for more than 65,536 things in one call',
  random: 'the guest asked for more randomness in one call than it may',
  private: 'the guest reached the limit of what is kept for it alone',
  checkpoints: 'the guest asked for more checkpoints than it may',
};

function endingSentence(ending: Exclude<RunEnding, { kind: 'failed' }>): string | null {
  switch (ending.kind) {
    case 'exit':
      return null;
    case 'trap':
      return `the guest trapped: ${ending.message}`;
    case 'limit':
      return LIMIT_SENTENCE[ending.limit];
    case 'deadline':
      return 'the guest reached its deadline';
    case 'signal':
      return `the guest was ended by ${ending.signal}`;
    case 'checkpointed':
      return 'the guest stopped after its checkpoint';
  }
}
