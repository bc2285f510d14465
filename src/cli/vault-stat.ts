/**
 * `stasis vault stat`: what takes how much room, as a table with bars.
 */
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import { visibleText } from '../fault/visible-text.ts';
import type { OwnerUsage, VaultUsage } from '../vault/vault-usage.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';
import { dim, formatBar, formatTable } from './terminal.ts';

const HEAD = ['OWNER', 'JOB', 'CHECKPOINTS', 'IMAGES', 'STORED', ''];

export function addVaultStatCommand(vault: Command, context: CommandContext): void {
  vault
    .command('stat')
    .summary('tell what takes room')
    .description(
      'Tell what takes how much room in the vault, by owner and job. A job is told with what its checkpoints added; what they share counts for the first.',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis vault stat')
    .action(async ({ json }: { json?: boolean }) => {
      // Behind a socket the rest is not the asking user's to know.
      const usage = context.isElsewhere()
        ? await (await context.host()).usage()
        : await withExistingVault(context, (opened) => opened.usage());
      if (json) printJson(context.out, usage);
      else await printUsage(context, usage);
    });
}

async function printUsage({ out }: CommandContext, { owners, trash }: VaultUsage): Promise<void> {
  const most = Math.max(1, ...owners.map(({ packBytes }) => packBytes));
  const rows = owners.flatMap((owner) => ownerRows(owner, most, out));
  out.write(await formatTable(HEAD, rows, out));
  const bytes = owners.reduce((sum, { packBytes }) => sum + packBytes, 0);
  const unused = owners.reduce((sum, owner) => sum + owner.packBytes - owner.usedBytes, 0);
  const sentence =
    `${prettyBytes(bytes)} in packs, ${prettyBytes(unused)} of them unused` +
    (trash === null ? '' : `; ${prettyBytes(trash.bytes)} in the trash`);
  out.write(`${dim(sentence, out)}\n`);
}

function ownerRows(
  { owner, checkpoints, packBytes, jobs }: OwnerUsage,
  most: number,
  out: NodeJS.WriteStream,
): string[][] {
  const images = jobs.reduce((sum, { imageBytes }) => sum + imageBytes, 0);
  return [
    [
      visibleText(owner),
      '',
      String(checkpoints),
      prettyBytes(images),
      prettyBytes(packBytes),
      formatBar(packBytes / most, out),
    ],
    ...jobs.map((job) => [
      '',
      visibleText(job.name),
      String(job.checkpoints),
      prettyBytes(job.imageBytes),
      prettyBytes(job.storedBytes),
      formatBar(job.storedBytes / most, out),
    ]),
  ];
}
