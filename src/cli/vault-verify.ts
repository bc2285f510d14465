/**
 * `stasis vault verify`: whether everything in the vault is as it was written.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import { HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import type { Finding, Verified, VerifyRequest } from '../vault/verify-vault.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';
import { withProgress } from './terminal.ts';

interface VerifyOptions {
  readonly readData?: boolean;
  readonly restore?: boolean;
  readonly repair?: boolean;
  readonly vault?: string;
  readonly json?: boolean;
}

export function addVaultVerifyCommand(vault: Command, context: CommandContext): void {
  vault
    .command('verify')
    .summary('look for damage')
    .description(
      'Check the index, the ledger, every record and every list of chunks, and that all packs are there. Exits with 125 when something is not as it was written.',
    )
    .option('--read-data', 'decrypt every chunk, too, and hold it against its name')
    .option('--restore', 'then put every image into memory as a restore does, too, and compare')
    .option(
      '--repair',
      'first count anew what is counted and not sealed: uses of chunks, used bytes of packs',
    )
    .option('--vault <dir>', 'another vault with the same key, such as a backup')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis vault verify --read-data')
    .action(async (options: VerifyOptions) => {
      const place = options.vault === undefined ? {} : { directory: resolve(options.vault) };
      const request = { depth: depthOf(options) };
      const { repaired, verified } = await withExistingVault(
        context,
        async (opened) => {
          const counting = options.repair ? opened.repairCounts() : Promise.resolve(null);
          const repaired = await withProgress('counting anew', context.err, counting);
          const verifying = opened.verify(request);
          const verified = await withProgress('verifying the vault', context.err, verifying);
          return { repaired, verified };
        },
        place,
      );
      if (options.json) {
        printJson(context.out, repaired === null ? verified : { ...verified, repaired });
      } else {
        if (repaired !== null) {
          const { chunks, droppedChunks, packs } = repaired;
          context.out.write(
            `repaired     ${chunks} counts of chunks (${droppedChunks} chunks dropped), ${packs} of packs\n`,
          );
        }
        printVerified(context, verified);
      }
      if (verified.findings.length > 0) throw damaged(verified.findings);
    });
}

function depthOf({ readData, restore }: VerifyOptions): VerifyRequest['depth'] {
  if (restore) return 'restore';
  return readData ? 'data' : 'structure';
}

export function printFindings({ out }: CommandContext, findings: readonly Finding[]): void {
  for (const { owner, checkpoint, sentence, facts } of findings) {
    const told = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
    const where = [owner, checkpoint]
      .filter((part) => part !== null)
      .map((part) => visibleText(part));
    out.write(`${[...where, sentence, ...told].join('  ')}\n`);
  }
}

function printVerified(context: CommandContext, verified: Verified): void {
  const { out } = context;
  const { owners, checkpoints, packs, entries, head, chunks, bytes, images, findings } = verified;
  printFindings(context, findings);
  out.write(`owners       ${owners}\ncheckpoints  ${checkpoints}\npacks        ${packs}\n`);
  if (chunks > 0) out.write(`decrypted    ${chunks} chunks, ${prettyBytes(bytes)}\n`);
  if (images > 0) out.write(`restored     ${images} images\n`);
  out.write(`ledger       ${entries} entries, head ${head}\n`);
}

export function damaged(findings: readonly Finding[]): HostError {
  const count = findings.length;
  return new HostError(
    'ERR_VAULT_DAMAGED',
    `${count} ${count === 1 ? 'thing is' : 'things are'} not as written to the vault.`,
    {
      facts: { findings: count },
      hint: 'remove the checkpoints that are named, or put the vault back from a backup; wrong counts are mended by --repair',
    },
  );
}
