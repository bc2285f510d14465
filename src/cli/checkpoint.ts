/**
 * `stasis checkpoint`: captures a running job now.
 */
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import prettyMilliseconds from 'pretty-ms';
import { type CommandContext, printJson } from './command-context.ts';
import { withProgress } from './terminal.ts';

interface CheckpointOptions {
  readonly stop?: boolean;
  readonly json?: boolean;
}

const NS_PER_MS = 1_000_000;

export function addCheckpointCommand(program: Command, context: CommandContext): void {
  program
    .command('checkpoint')
    .summary('capture a running job')
    .description('Capture a running job and wait until the checkpoint is sealed.')
    .argument('<job>', 'name of the job')
    .option('--stop', 'end the job once the checkpoint is sealed')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis checkpoint job --stop')
    .action(async (name: string, { stop, json }: CheckpointOptions) => {
      const host = await context.host();
      const asked = host.checkpoint(name, stop ?? false);
      const made = await withProgress('waiting for the checkpoint', context.err, asked);
      const { job, done } = made;
      if (json) {
        printJson(context.out, { job, ...done });
        return;
      }
      const pauseMs = Number(done['pauseNs']) / NS_PER_MS;
      context.out.write(
        `#${done['sequence']}  ${done['stamp']}  ${done['id']}  ${prettyBytes(Number(done['imageBytes']))}, ` +
          `${prettyBytes(Number(done['storedBytes']))} stored, paused ${prettyMilliseconds(pauseMs, { millisecondsDecimalDigits: 1 })}\n`,
      );
    });
}
