/**
 * `stasis daemon`: a host of several users, behind a socket.
 */
import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { parseDurationMs } from './quantities.ts';

export interface DaemonOptions {
  readonly socket?: string;
  readonly state?: string;
  readonly policy?: string;
  readonly stopWithin?: number;
}

export function addDaemonCommand(program: Command, context: CommandContext): void {
  program
    .command('daemon')
    .summary('be a host for several users')
    .description(
      'Serve several users over a socket: run as root, every user, each with his own rights; run as somebody else, that user alone. Ends with SIGTERM: jobs that were started with --restart are captured first, and go on with the next daemon.',
    )
    .option(
      '--socket <path>',
      'where to listen (default: /run/stasis/stasis.sock; for others than root run/daemon.sock in the state directory); a socket of systemd comes first',
    )
    .option('--state <dir>', 'state directory (default: /var/lib/stasis, or STASIS_HOME)')
    .option(
      '--policy <file>',
      'what users may have (default: /etc/stasis/policy.json if it is there)',
    )
    .option(
      '--stop-within <time>',
      'end jobs the hard way when a stop takes longer (default: 60s)',
      parseDurationMs,
    )
    .addHelpText(
      'after',
      `
Example:
  $ sudo stasis daemon
  $ stasis --host unix:/run/stasis/stasis.sock ps

docs/daemon.md has units for systemd.`,
    )
    .action(async (options: DaemonOptions) => {
      // Nothing else needs any of it.
      const { serveDaemon } = await import('./daemon-service.ts');
      await serveDaemon(context, options);
    });
}
