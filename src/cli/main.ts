/**
 * Entry of the command line, run by `bin/stasis.mjs`. The only file that reads arguments and
 * environment and sets the exit status.
 */
import { CommanderError } from 'commander';
import { EXIT_STATUS } from '../fault/exit-status.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import type { CommandContext } from './command-context.ts';
import { outputStream } from './output-stream.ts';
import { createProgram, usageError } from './program.ts';
import { reportError } from './report-error.ts';
import { readSettings, withVaultOptions } from './settings.ts';

const argv = process.argv.slice(2);
const stdout = outputStream(1);
const stderr = outputStream(2);

/** Looked for before parsing, so that wrong arguments are reported in the right form too. */
const guestAt = argv[0] === 'run' ? argv.findIndex((word) => word.endsWith('.wasm')) : -1;
const own = guestAt < 0 ? argv : argv.slice(0, guestAt);
const style = { json: own.includes('--json'), debug: own.includes('--debug'), stream: stderr };

// A reader that stops early, such as head, ends the command quietly. A full disk does not.
stdout.on('error', (error) => {
  if (errorCode(error) === 'EPIPE') process.exit(EXIT_STATUS.success);
  process.exit(reportError(ioFailure('write to stdout', error), style));
});

// What can't be told, on a full disk or to a reader that is gone, changes nothing about how the guest ended.
stderr.on('error', () => {});

try {
  let settings = readSettings(process.env);
  let address = process.env['STASIS_HOST'] || null;
  const context: CommandContext = {
    get settings() {
      return settings;
    },
    chooseVault: (options) => {
      settings = withVaultOptions(settings, options);
    },
    chooseHost: (chosen) => {
      address = chosen;
    },
    // Loaded when it is known which one, and that one alone.
    host: async () =>
      address === null
        ? (await import('./local-host.ts')).localHost(settings)
        : (await import('./remote-host.ts')).remoteHost(address),
    isElsewhere: () => address !== null,
    environment: process.env,
    out: stdout,
    err: stderr,
    exitWith: (status) => {
      process.exitCode = status;
    },
  };
  const program = createProgram(context);
  if (argv.length === 0) {
    program.outputHelp({ error: true });
    process.exitCode = EXIT_STATUS.hostFailure;
  } else {
    await program.parseAsync(argv, { from: 'user' });
  }
} catch (error) {
  const shown = error instanceof CommanderError ? usageError(error) : error;
  if (shown !== null) process.exitCode = reportError(shown, style);
}
