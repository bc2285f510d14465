/**
 * `stasis vault rotate-key`: another master key, and after a leak other keys for everything.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { HostError } from '../fault/host-error.ts';
import type { KeyPlace } from '../vault/master-key.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';
import { parseDescriptor } from './settings.ts';
import { withProgress } from './terminal.ts';

interface RotateOptions {
  readonly reencrypt?: boolean;
  readonly resume?: boolean;
  readonly newKeyFile?: string;
  readonly newKeyFd?: string;
  readonly json?: boolean;
}

export function addVaultRotateKeyCommand(vault: Command, context: CommandContext): void {
  vault
    .command('rotate-key')
    .summary('change the master key')
    .description(
      'Make another master key and seal the owners’ keys under it. Running jobs go on. Backups made before open with the old key only: keep it with them.',
    )
    .option('--reencrypt', 'after a leak: other keys for owners, too, and everything sealed anew')
    .option('--resume', 'go on with a re-encryption that was interrupted, and change no key')
    .option(
      '--new-key-file <file>',
      'take the new key from there, and leave the old key’s file alone',
    )
    .option('--new-key-fd <n>', 'take the new key from this descriptor')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis vault rotate-key')
    .action(async (options: RotateOptions) => {
      const { reencrypt = false, resume = false, json } = options;
      const newKey = newKeyPlace(options);
      if (resume && (reencrypt || newKey !== null)) {
        throw new HostError('ERR_USAGE', '--resume goes on with what was begun and takes no more.');
      }
      const { out, err } = context;
      const done = await withExistingVault(context, (opened) =>
        withProgress(
          'changing keys',
          err,
          resume
            ? opened
                .resumeReencryption()
                .then((reencrypted) => ({ owners: 0, reencrypted, scrubbed: true }))
            : opened.rotateKey({ reencrypt, ...(newKey === null ? {} : { newKey }) }),
        ),
      );
      if (json) {
        printJson(out, done);
        return;
      }
      if (!resume) out.write(`The master key was changed, over ${done.owners} owners.\n`);
      if (reencrypt || resume)
        out.write(`Sealed anew: all that ${done.reencrypted} owners have.\n`);
      if (!done.scrubbed) {
        out.write(
          'What was sealed under the old key may still stand in free pages of the index, since others use it; do it again later.\n',
        );
      }
    });
}

function newKeyPlace({ newKeyFile, newKeyFd }: RotateOptions): KeyPlace | null {
  if (newKeyFile !== undefined && newKeyFd !== undefined) {
    throw new HostError(
      'ERR_USAGE',
      'The new key comes from a file or from a descriptor, not both.',
    );
  }
  if (newKeyFile !== undefined) return { kind: 'file', path: resolve(newKeyFile) };
  return newKeyFd === undefined ? null : { kind: 'descriptor', fd: parseDescriptor(newKeyFd) };
}
