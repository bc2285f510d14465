/**
 * `stasis vault gc`: gives back the room of what no checkpoint uses.
 */
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import { HostError } from '../fault/host-error.ts';
import type { Collected } from '../vault/collect-garbage.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';
import { parseBytes } from './quantities.ts';
import { withProgress } from './terminal.ts';

interface GcOptions {
  readonly dryRun?: boolean;
  readonly emptyTrash?: boolean;
  readonly maxUnused: (packBytes: number) => number;
  readonly json?: boolean;
}

export function addVaultGcCommand(vault: Command, context: CommandContext): void {
  vault
    .command('gc')
    .summary('give back room')
    .description(
      'Pack anew what is used of packs that are mostly unused, and delete what has been trash for two collections. Safe beside running jobs. Removing a checkpoint is a collection, too, but packs nothing anew.',
    )
    .option('--dry-run', 'change nothing, tell what would be done')
    .option('--empty-trash', 'delete all trash now; a restore that is reading from it fails')
    .option(
      '--max-unused <amount>',
      'leave so much unused, such as 10%, 1GiB or unlimited',
      parseUnused,
      parseUnused('5%'),
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis vault gc --dry-run')
    .action(async ({ dryRun = false, emptyTrash = false, maxUnused, json }: GcOptions) => {
      const request = { dryRun, emptyTrash, unusedBytesMax: maxUnused };
      const collected = await withExistingVault(context, (opened) =>
        withProgress('collecting', context.err, opened.collect(request)),
      );
      if (json) printJson(context.out, { dryRun, ...collected });
      else printCollected(context, collected, dryRun);
    });
}

/** `10%` of the packs, an amount, or `unlimited`. Throws ERR_USAGE. */
function parseUnused(text: string): (packBytes: number) => number {
  if (text === 'unlimited') return () => Number.POSITIVE_INFINITY;
  const share = /^(\d{1,2}(?:\.\d{1,3})?|100)%$/.exec(text);
  if (share !== null) return (packBytes) => (packBytes * Number(share[1])) / 100;
  if (text.endsWith('%')) {
    throw new HostError('ERR_USAGE', `${JSON.stringify(text)} is no share.`, {
      hint: 'write it as 5%, 1GiB or unlimited',
    });
  }
  const bytes = parseBytes(text);
  return () => bytes;
}

function printCollected({ out }: CommandContext, collected: Collected, dryRun: boolean): void {
  const { packBytes, unusedBytes, repackedPacks, repackedBytes } = collected;
  const { deletedPacks, deletedBytes, trashPacks, trashBytes, held } = collected;
  const would = dryRun ? 'would be ' : '';
  out.write(
    `unused    ${prettyBytes(unusedBytes)} of ${prettyBytes(packBytes)}\n` +
      `repacked  ${repackedPacks} packs ${would}packed anew, ${prettyBytes(repackedBytes)} copied\n` +
      `deleted   ${deletedPacks} packs ${would}deleted, ${prettyBytes(deletedBytes)}\n` +
      `trash     ${trashPacks} packs stay, ${prettyBytes(trashBytes)}\n`,
  );
  if (held) out.write('A backup is under way, so the trash was not emptied.\n');
}
