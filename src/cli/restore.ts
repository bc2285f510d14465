/**
 * `stasis restore`: goes on from a checkpoint.
 */
import type { Command } from 'commander';
import type { RestoreChanges } from '../checkpoint/restore.ts';
import { HostError } from '../fault/host-error.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { hostInBackground, hostInForeground } from './host-command.ts';
import { type JobWork, tryRestore } from './job-host.ts';
import { parseStamp } from './quantities.ts';
import { describeReceipt } from './receipt-text.ts';
import {
  addSharedOptions,
  type GatheredOptions,
  type SharedOptions,
  settingsFor,
} from './run-options.ts';

interface RestoreOptions extends SharedOptions {
  readonly id?: string;
  readonly at?: string;
  readonly dryRun?: boolean;
}

export function addRestoreCommand(program: Command, context: CommandContext): void {
  const command = program.command('restore');
  const asBefore = 'what the job had';
  const gathered = addSharedOptions(command, {
    memory: asBefore,
    table: asBefore,
    carry: asBefore,
    confine: asBefore,
  });
  command
    .summary('go on from a checkpoint')
    .description(
      'Go on from a checkpoint: the last one of JOB, or of all your jobs. What was asked for when the job was run is asked for again; options replace it.',
    )
    .argument('[job]', 'name of the job')
    .option('--id <id>', 'this checkpoint')
    .option('--at <stamp>', 'the newest checkpoint at or before this date and time', parseStamp)
    .option('--dry-run', 'check everything, print the receipt, start nothing')
    .addHelpText(
      'after',
      `
Example:
  $ stasis restore job
  $ stasis restore job --at 2026-11-23T09:30:00Z --dry-run

The exit status is the guest's own; docs/errors.md lists the others.`,
    )
    .action(async (job: string | undefined, options: RestoreOptions) => {
      const { id, at } = options;
      if (id !== undefined && !/^[0-9a-f]{32}$/.test(id)) {
        throw new HostError('ERR_USAGE', 'An id of a checkpoint is 32 hexadecimal digits.', {
          hint: 'stasis checkpoints shows the ids',
        });
      }
      const work: Extract<JobWork, { kind: 'restore' }> = {
        kind: 'restore',
        selector: { job: job ?? null, id: id ?? null, at: at ?? null },
        changes: readChanges(options, gathered),
      };
      const json = options.json ?? false;
      if (options.dryRun) {
        const receipt = await tryRestore(settingsFor(context, options), work);
        if (json) printJson(context.out, receipt);
        else context.out.write(`${describeReceipt(receipt).join('\n')}\n`);
        return;
      }
      const order = {
        settings: settingsFor(context, options),
        work,
        triggers: gathered.triggers,
        digestMemory: options.memoryDigest ?? false,
      };
      if (options.detach) await hostInBackground(context, order, json);
      else await hostInForeground(context, order, json);
    });
}

function readChanges(
  options: RestoreOptions,
  { preopens, pools, kv, providers, providerPaths, listen }: GatheredOptions,
): RestoreChanges {
  const { fuel, maxMemory, maxTable, carryMax, confine, timeout, checkpointEvery } = options;
  return {
    ...(preopens.length === 0 ? {} : { preopens }),
    ...(pools.length === 0 ? {} : { pools }),
    ...(kv.length === 0 ? {} : { kv }),
    ...(providers.length === 0 ? {} : { providers }),
    ...(providerPaths.length === 0 ? {} : { providerPaths }),
    ...(listen.length === 0 ? {} : { listen }),
    ...(fuel === undefined ? {} : { fuel }),
    ...(maxMemory === undefined ? {} : { memoryPages: maxMemory }),
    ...(maxTable === undefined ? {} : { tableEntries: maxTable }),
    ...(carryMax === undefined ? {} : { carryBytesMax: carryMax }),
    ...(confine === undefined ? {} : { confine }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(checkpointEvery === undefined ? {} : { checkpointEveryMs: checkpointEvery }),
    ...(options.log ? {} : { keepLog: false }),
    ...(options.rm === undefined ? {} : { removeAtEnd: options.rm }),
  };
}
