/**
 * `stasis restore`: goes on from a checkpoint.
 */
import type { Command } from 'commander';
import type { RestoreChanges } from '../checkpoint/restore.ts';
import { EXIT_STATUS } from '../fault/exit-status.ts';
import { HostError } from '../fault/host-error.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { describeExplanation } from './explanation-text.ts';
import { hostInBackground, hostInForeground } from './host-command.ts';
import type { JobWork } from './job-order.ts';
import { parseOwner } from './owner-option.ts';
import { parseStamp } from './quantities.ts';
import { describeReceipt } from './receipt-text.ts';
import {
  addSharedOptions,
  type GatheredOptions,
  namedPolicy,
  type SharedOptions,
  wantsRestart,
} from './run-options.ts';

interface RestoreOptions extends SharedOptions {
  readonly id?: string;
  readonly at?: string;
  readonly dryRun?: boolean;
  readonly explain?: boolean;
  readonly clone?: boolean;
  readonly again?: boolean;
  readonly name?: string;
  readonly owner?: string;
}

export function addRestoreCommand(program: Command, context: CommandContext): void {
  const command = program.command('restore');
  const asBefore = 'what the job had';
  const gathered = addSharedOptions(command, context.environment, {
    memory: asBefore,
    table: asBefore,
    carry: asBefore,
    confine: asBefore,
    onLimit: asBefore,
    clock: asBefore,
    handles: asBefore,
    files: asBefore,
    random: asBefore,
    private: asBefore,
    checkpoints: asBefore,
  });
  command
    .summary('go on from a checkpoint')
    .description(
      'Go on from a checkpoint: the last one of JOB, or of all your jobs. What was asked for when the job was run is asked for again; options replace it.',
    )
    .argument('[job]', 'name of the job')
    .option('--id <id>', 'this checkpoint')
    .option('--at <stamp>', 'the newest checkpoint at or before this date and time', parseStamp)
    .option('--again', 'although a run that went on from it ended well or made a newer one')
    .option('--clone', 'as a twin, a job of its own, whatever else went on from the checkpoint')
    .option('--name <name>', 'name of the twin')
    .option('--owner <user>', 'of this user, who has granted it to you (stasis grant)', parseOwner)
    .option(
      '--explain',
      'show the software that it was made with beside that of today, open nothing',
    )
    .option('--dry-run', 'check everything, print the receipt, start nothing')
    .addHelpText(
      'after',
      `
Example:
  $ stasis restore job
  $ stasis restore job --at 2026-11-23T09:30:00Z --dry-run
  $ stasis restore job --explain
  $ stasis restore job --clone --name twin

The exit status is the guest's own; docs/errors.md lists the others.`,
    )
    .action(async (job: string | undefined, options: RestoreOptions) => {
      const { id, at } = options;
      if (id !== undefined && !/^[0-9a-f]{32}$/.test(id)) {
        throw new HostError('ERR_USAGE', 'An id of a checkpoint is 32 hexadecimal digits.', {
          hint: 'stasis checkpoints shows the ids',
        });
      }
      if (options.name !== undefined && !options.clone) {
        throw new HostError('ERR_USAGE', 'Only a clone gets a name of its own.', {
          hint: 'write --clone --name NAME, or leave --name out',
        });
      }
      const work: Extract<JobWork, { kind: 'restore' }> = {
        kind: 'restore',
        selector: {
          ...(options.owner === undefined ? {} : { owner: options.owner }),
          job: job ?? null,
          id: id ?? null,
          at: at ?? null,
        },
        ...(options.again ? { again: true } : {}),
        ...(options.clone ? { clone: { name: options.name ?? null } } : {}),
        changes: {
          ...readChanges(options, gathered),
          ...(wantsRestart(context, options) ? { restart: true } : {}),
        },
      };
      const ask = {
        work,
        triggers: gathered.triggers,
        digestMemory: options.memoryDigest ?? false,
        secrets: gathered.secrets,
        policy: namedPolicy(context, options),
      };
      const json = options.json ?? false;
      if (options.explain) {
        const explanation = await (await context.host()).explain(ask);
        if (json) printJson(context.out, explanation);
        else context.out.write(await describeExplanation(explanation, context.out));
        if (!explanation.restorable) context.exitWith(EXIT_STATUS.hostFailure);
        return;
      }
      if (options.dryRun) {
        const receipt = await (await context.host()).tryRestore(ask);
        if (json) printJson(context.out, receipt);
        else context.out.write(`${describeReceipt(receipt).join('\n')}\n`);
        return;
      }
      if (options.detach) await hostInBackground(context, ask, json);
      else await hostInForeground(context, ask, json);
    });
}

function readChanges(
  options: RestoreOptions,
  { preopens, pools, kv, providers, providerPaths, listen, secrets }: GatheredOptions,
): RestoreChanges {
  const {
    fuel,
    maxMemory,
    maxTable,
    carryMax,
    confine,
    maxOutput,
    onLimit,
    maxHandles,
    maxFiles,
    maxRandom,
    maxPrivate,
    maxCheckpoints,
    clock,
    timeout,
    checkpointEvery,
  } = options;
  return {
    ...(preopens.length === 0 ? {} : { preopens }),
    ...(pools.length === 0 ? {} : { pools }),
    ...(kv.length === 0 ? {} : { kv }),
    ...(providers.length === 0 ? {} : { providers }),
    ...(providerPaths.length === 0 ? {} : { providerPaths }),
    ...(listen.length === 0 ? {} : { listen }),
    ...(secrets.length === 0 ? {} : { secrets: secrets.map(({ name }) => name) }),
    ...(fuel === undefined ? {} : { fuel }),
    ...(maxMemory === undefined ? {} : { memoryPages: maxMemory }),
    ...(maxTable === undefined ? {} : { tableEntries: maxTable }),
    ...(carryMax === undefined ? {} : { carryBytesMax: carryMax }),
    ...(confine === undefined ? {} : { confine }),
    ...(maxOutput === undefined ? {} : { outputBytes: maxOutput }),
    ...(onLimit === undefined ? {} : { onLimit }),
    ...(maxHandles === undefined ? {} : { handles: maxHandles }),
    ...(maxFiles === undefined ? {} : { files: maxFiles }),
    ...(maxRandom === undefined ? {} : { randomCallBytes: maxRandom }),
    ...(maxPrivate === undefined ? {} : { privateBytes: maxPrivate }),
    ...(maxCheckpoints === undefined ? {} : { guestCheckpoints: maxCheckpoints }),
    ...(clock === undefined ? {} : { clock }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(checkpointEvery === undefined ? {} : { checkpointEveryMs: checkpointEvery }),
    ...(options.log ? {} : { keepLog: false }),
    ...(options.osr ? {} : { osr: false }),
    ...(options.rm === undefined ? {} : { removeAtEnd: options.rm }),
  };
}
