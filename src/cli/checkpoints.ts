/**
 * `stasis checkpoints`: lists what can be restored.
 */
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import { visibleText } from '../fault/visible-text.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { formatTable } from './terminal.ts';

const HEAD = ['#', 'JOB', 'STAMP', 'CAUSE', 'RUN', 'IMAGE', 'STORED', 'ID'];

export function addCheckpointsCommand(program: Command, context: CommandContext): void {
  program
    .command('checkpoints')
    .summary('list checkpoints')
    .description('List checkpoints, newest first: those of JOB, or all of yours.')
    .argument('[job]', 'name of the job')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis checkpoints job')
    .action(async (name: string | undefined, { json }: { json?: boolean }) => {
      const { out } = context;
      const host = await context.host();
      const infos = await host.checkpoints(name ?? null);
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
        prettyBytes(info.imageBytes),
        prettyBytes(info.storedBytes),
        info.id,
      ]);
      out.write(await formatTable(HEAD, rows, out));
    });
}
