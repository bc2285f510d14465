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
    .option('--vault <dir>', 'another vault with the same key, such as a backup')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis vault verify --read-data')
    .action(async (options: VerifyOptions) => {
      const place = options.vault === undefined ? {} : { directory: resolve(options.vault) };
      const request = { depth: depthOf(options) };
      const verified = await withExistingVault(
        context,
        (opened) => withProgress('verifying the vault', context.err, opened.verify(request)),
        place,
      );
      if (options.json) printJson(context.out, verified);
      else printVerified(context, verified);
      if (verified.findings.length > 0) throw damaged(verified.findings);
    });
}

function depthOf({ readData, restore }: VerifyOptions): VerifyRequest['depth'] {
  if (restore) return 'restore';
  return readData ? 'data' : 'structure';
}

function printVerified({ out }: CommandContext, verified: Verified): void {
  const { owners, checkpoints, packs, entries, head, chunks, bytes, images, findings } = verified;
  for (const { owner, checkpoint, sentence, facts } of findings) {
    const told = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
    const where = [owner, checkpoint]
      .filter((part) => part !== null)
      .map((part) => visibleText(part));
    out.write(`${[...where, sentence, ...told].join('  ')}\n`);
  }
  out.write(`owners       ${owners}\ncheckpoints  ${checkpoints}\npacks        ${packs}\n`);
  if (chunks > 0) out.write(`decrypted    ${chunks} chunks, ${prettyBytes(bytes)}\n`);
  if (images > 0) out.write(`restored     ${images} images\n`);
  out.write(`ledger       ${entries} entries, head ${head}\n`);
}

function damaged(findings: readonly Finding[]): HostError {
  const count = findings.length;
  return new HostError(
    'ERR_VAULT_DAMAGED',
    `${count} ${count === 1 ? 'thing is' : 'things are'} not as written to the vault.`,
    {
      facts: { findings: count },
      hint: 'remove the checkpoints that are named, or put the vault back from a backup',
    },
  );
}
