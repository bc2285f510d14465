/**
 * `stasis checkpoints`: lists what can be restored.
 */
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import { visibleText } from '../fault/visible-text.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { parseOwner } from './owner-option.ts';
import { formatTable } from './terminal.ts';

const HEAD = ['#', 'JOB', 'STAMP', 'CAUSE', 'RUN', 'USED', 'IMAGE', 'STORED', 'ID'];

interface CheckpointsOptions {
  readonly json?: boolean;
  readonly owner?: string;
}

export function addCheckpointsCommand(program: Command, context: CommandContext): void {
  program
    .command('checkpoints')
    .summary('list checkpoints')
    .description('List checkpoints, newest first: those of JOB, or all of yours.')
    .argument('[job]', 'name of the job')
    .option('--owner <user>', 'of this user, who has granted it to you (stasis grant)', parseOwner)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis checkpoints job')
    .action(async (name: string | undefined, { json, owner }: CheckpointsOptions) => {
      const { out } = context;
      const host = await context.host();
      const infos = await host.checkpoints(name ?? null, owner ?? null);
      if (json) {
        printJson(out, { checkpoints: infos });
        return;
      }
      const jobs = new Set((await host.jobs()).map(({ job }) => job.id));
      const rows = infos.map((info) => [
        String(info.sequence),
        jobs.has(info.job) ? visibleText(info.name) : `${visibleText(info.name)} (gone)`,
        info.stamp,
        info.cause,
        String(info.run),
        info.use === null
          ? '-'
          : `run ${info.use.run}${info.use.state === 'claimed' ? ', running' : ''}`,
        prettyBytes(info.imageBytes),
        prettyBytes(info.storedBytes),
        info.id,
      ]);
      out.write(await formatTable(HEAD, rows, out));
    });
}
