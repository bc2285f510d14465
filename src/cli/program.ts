/**
 * The command line as a whole: which commands there are, and what is common to all of them.
 */
import { Command, type CommanderError } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { HOST_VERSION } from '../host/version.ts';
import { addAuditCommand } from './audit.ts';
import { addCheckpointCommand } from './checkpoint.ts';
import { addCheckpointsCommand } from './checkpoints.ts';
import type { CommandContext } from './command-context.ts';
import { addDaemonCommand } from './daemon.ts';
import { addDoctorCommand } from './doctor.ts';
import { addForgetCommand } from './forget.ts';
import { addGrantCommands } from './grant.ts';
import { addKillCommand } from './kill.ts';
import { addLogsCommand } from './logs.ts';
import { addPsCommand } from './ps.ts';
import { addRestoreCommand } from './restore.ts';
import { addRmCommand } from './rm.ts';
import { addRunCommand } from './run.ts';
import { addVaultCommand } from './vault.ts';

export function createProgram(context: CommandContext): Command {
  const program = new Command('stasis')
    .description(
      'Run WASI programs that can be stopped anywhere and go on later, also after kill -9.',
    )
    .version(HOST_VERSION)
    .option('--debug', 'show stacks of errors')
    .option(
      '--host <address>',
      'ask the host at unix:PATH (stasis daemon) instead of being one; or set STASIS_HOST',
      (text) => context.chooseHost(text),
    )
    .option('--key-file <file>', "the vault's master key is there")
    .option('--key-fd <n>', "read the vault's master key from this descriptor")
    .option('--witness <file>', 'tell this file how far the vault has come, and ask it')
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
      // A wrong use is reported like every other error.
      outputError: () => {},
    })
    .exitOverride()
    .addHelpText(
      'after',
      `
Example:
  $ stasis run --detach --name job --checkpoint-every 1s guests/build/nqueens.wasm 12
  $ stasis ps
  $ stasis restore job

State lies under STASIS_HOME, by default the XDG state directory. The vault's key lies there too,
unless STASIS_KEY_FILE, STASIS_KEY_FD or a systemd credential named stasis.key says otherwise;
STASIS_WITNESS names a witness.`,
    )
    .hook('preAction', () => {
      context.chooseVault(program.opts());
    });
  addRunCommand(program, context);
  addPsCommand(program, context);
  addLogsCommand(program, context);
  addCheckpointCommand(program, context);
  addCheckpointsCommand(program, context);
  addRestoreCommand(program, context);
  addGrantCommands(program, context);
  addKillCommand(program, context);
  addRmCommand(program, context);
  addDaemonCommand(program, context);
  addDoctorCommand(program, context);
  addForgetCommand(program, context);
  addAuditCommand(program, context);
  addVaultCommand(program, context);
  for (const command of program.commands) command.copyInheritedSettings(program);
  return program;
}

/** What commander threw, as an error of ours; null when it only printed help or the version. */
export function usageError(error: CommanderError): HostError | null {
  if (error.exitCode === 0 || error.code === 'commander.help') return null;
  const sentence = error.message.replace(/^error: /, '').split('\n')[0]!;
  const text = `${sentence[0]?.toUpperCase() ?? ''}${sentence.slice(1)}`;
  return new HostError('ERR_USAGE', text.endsWith('.') ? text : `${text}.`, {
    hint: 'stasis --help, or stasis COMMAND --help',
  });
}
