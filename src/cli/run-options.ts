/**
 * Options that `run` and `restore` share, and how their values are read.
 */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { ON_LIMIT, type OnLimit, type Preopen } from '../cell/protocol.ts';
import { CONFINE_MODES, type ConfineMode } from '../confine/confinement.ts';
import { HostError } from '../fault/host-error.ts';
import {
  FILE_POLICIES,
  FILE_POLICY_DEFAULT,
  type FilePolicy,
  isFilePolicy,
} from '../handle/file-policy.ts';
import type { CellPath } from '../host/cell-command.ts';
import type { ListenRequest } from '../host/listening-socket.ts';
import type { PolicyPlace } from '../host/policy-file.ts';
import type { ProviderRequest } from '../host/provider-file.ts';
import { truePath } from '../host/true-path.ts';
import type { KvGrant } from '../kv/kv-grant.ts';
import type { PoolGrant } from '../pool/pool-grant.ts';
import { HANDLES_LIMIT } from '../resource/bounds.ts';
import { CLOCK_GRAINS, type ClockGrain } from '../resource/clock.ts';
import type { CommandContext } from './command-context.ts';
import type { SecretOrder, TriggerOrder } from './job-order.ts';
import { readKv } from './kv-option.ts';
import { readListen } from './listen-option.ts';
import { readPool } from './pool-option.ts';
import { readProvider, readProviderPath } from './provider-options.ts';
import { parseBytes, parseCount, parseDurationMs, parseFuel } from './quantities.ts';
import { readSecretOption } from './secret-option.ts';
import { policyPlace } from './settings.ts';

const PAGE_BYTES = 65_536;
/** A 32-bit memory has no more; several memories together are held to the same. */
const MEMORY_PAGES_MAX = 65_536;
export const MEMORY_PAGES_DEFAULT = 16_384;
/** They travel in the image's head, which has to fit a message. */
const CARRY_BYTES_MAX = 256 * 1024 * 1024;
const TABLE_ENTRIES_MAX = 10_000_000;
export const TABLE_ENTRIES_DEFAULT = 1_000_000;
const CHECKPOINTS_MAX = 1_000_000_000;

/** As commander hands them over; absent options are undefined. */
export interface SharedOptions {
  readonly detach?: boolean;
  readonly checkpointEvery?: number;
  readonly fuel?: string;
  readonly timeout?: number;
  readonly maxMemory?: number;
  readonly maxTable?: number;
  readonly carryMax?: number;
  readonly confine?: ConfineMode;
  readonly maxOutput?: number;
  readonly maxHandles?: number;
  readonly maxFiles?: number;
  readonly maxRandom?: number;
  readonly maxPrivate?: number;
  readonly maxCheckpoints?: number;
  readonly clock?: ClockGrain;
  readonly onLimit?: OnLimit;
  readonly rm?: boolean;
  readonly restart?: boolean;
  readonly json?: boolean;
  readonly log: boolean;
  readonly osr: boolean;
  readonly memoryDigest?: boolean;
  readonly policy?: string;
}

/** Lists that grow in the order of the command line, whichever option adds to them. */
export interface GatheredOptions {
  readonly preopens: Preopen[];
  readonly pools: PoolGrant[];
  readonly kv: KvGrant[];
  readonly providers: ProviderRequest[];
  readonly providerPaths: CellPath[];
  readonly listen: ListenRequest[];
  readonly secrets: SecretOrder[];
  readonly triggers: TriggerOrder[];
}

export function addSharedOptions(
  command: Command,
  environment: NodeJS.ProcessEnv,
  defaults: {
    readonly memory: string;
    readonly table: string;
    readonly carry: string;
    readonly confine: string;
    readonly onLimit: string;
    readonly clock: string;
    readonly handles: string;
    readonly files: string;
    readonly random: string;
    readonly private: string;
    readonly checkpoints: string;
  },
): GatheredOptions {
  const preopens: Preopen[] = [];
  const pools: PoolGrant[] = [];
  const kv: KvGrant[] = [];
  const providers: ProviderRequest[] = [];
  const providerPaths: CellPath[] = [];
  const listen: ListenRequest[] = [];
  const secrets: SecretOrder[] = [];
  const triggers: TriggerOrder[] = [];
  command
    .option('-d, --detach', 'run in the background and print the name of the job')
    .option(
      '--checkpoint-every <time>',
      'make a checkpoint this often, such as 500ms or 1s',
      named('--checkpoint-every', parseDurationMs),
    )
    .option(
      '--dir <host::guest[::policy]>',
      'grant a directory; HOST alone has the same path in the guest; POLICY says what checkpoints mean for its files: reopen (default), rollback, private or refuse',
      (text) => {
        preopens.push(readPreopen(text, false));
      },
    )
    .option('--dir-ro <host::guest[::policy]>', 'grant a directory for reading only', (text) => {
      preopens.push(readPreopen(text, true));
    })
    .option(
      '--pool <name=file>',
      'let the guest share this page file as a pool; then perhaps ,page=4096,frames=256,pages=N,ro',
      (text) => {
        pools.push(readPool(text, pools));
      },
    )
    .option(
      '--kv <name=file>',
      'let the guest use this database of keys and values; then perhaps ,ro',
      (text) => {
        kv.push(readKv(text, kv));
      },
    )
    .option(
      '--provider <file>',
      'load a provider: FILE[#EXPORT][,key=value…]; the keys are options of the provider',
      (text) => {
        providers.push(readProvider(text));
      },
    )
    .option('--provider-read <path>', 'let the providers read a file or directory', (text) => {
      providerPaths.push(readProviderPath(text, true));
    })
    .option(
      '--provider-write <path>',
      'let the providers read and write a file or directory',
      (text) => {
        providerPaths.push(readProviderPath(text, false));
      },
    )
    .option(
      '--listen <host:port[=name]>',
      'listen there for the guest, from its descriptor 3 on; port 0 is any that is free',
      (text) => {
        listen.push(readListen(text, listen));
      },
    )
    .option(
      '--fuel <units>',
      'end the guest when it used so much in all its runs together',
      named('--fuel', parseFuel),
    )
    .option(
      '--timeout <time>',
      'end the guest after this time',
      named('--timeout', parseDurationMs),
    )
    .option(
      '--max-memory <size>',
      `memory that the guest may have (default: ${defaults.memory})`,
      named('--max-memory', parsePages),
    )
    .option(
      '--max-table <entries>',
      `table entries that the guest may have (default: ${defaults.table})`,
      named('--max-table', (text) => parseCount(text, 0, TABLE_ENTRIES_MAX)),
    )
    .option(
      '--max-output <size>',
      'what the guest may write to stdout and stderr together in this run, such as 10MiB; no bound without',
      named('--max-output', parseBytes),
    )
    .option(
      '--max-handles <number>',
      `files, directories and connections that the guest may have open at once (default: ${defaults.handles})`,
      named('--max-handles', (text) => parseCount(text, 0, HANDLES_LIMIT)),
    )
    .option(
      '--max-files <number>',
      `files and directories that it may have open at once, among its handles (default: ${defaults.files})`,
      named('--max-files', (text) => parseCount(text, 0, HANDLES_LIMIT)),
    )
    .option(
      '--max-random <size>',
      `randomness that the guest may ask for in one call (default: ${defaults.random})`,
      named('--max-random', parseBytes),
    )
    .option(
      '--max-private <size>',
      `what is kept on the disk for this guest alone: its private files, and what undoes its changes (default: ${defaults.private})`,
      named('--max-private', parseBytes),
    )
    .option(
      '--max-checkpoints <number>',
      `checkpoints that the guest may ask for itself in this run (default: ${defaults.checkpoints})`,
      named('--max-checkpoints', (text) => parseCount(text, 0, CHECKPOINTS_MAX)),
    )
    .addOption(
      new Option(
        '--on-limit <what>',
        `at a limit: end, or checkpoint to capture the guest where it stands and end then, so that a restore with more can go on (default: ${defaults.onLimit})`,
      ).choices(ON_LIMIT),
    )
    .addOption(
      new Option(
        '--clock <grain>',
        `what the guest's clocks and its files' times show: coarse, whole milliseconds, or fine (default: ${defaults.clock})`,
      ).choices(CLOCK_GRAINS),
    )
    .addOption(
      new Option(
        '--confine <mode>',
        `how the kernel holds the guest's process: auto takes what the system has, require refuses to run without all of it, off is for debugging (default: ${defaults.confine})`,
      ).choices(CONFINE_MODES),
    )
    .option(
      '--carry-max <size>',
      `contents of files that a checkpoint may hold (default: ${defaults.carry})`,
      named('--carry-max', parseCarryBytes),
    )
    .option(
      '--env-secret <name[=file]>',
      'set a variable of the guest from here or from a file; its value enters no checkpoint and is asked for again at a restore',
      (text) => {
        secrets.push(readSecretOption(text, environment, secrets));
      },
    )
    .option('--policy <file>', 'hold it to this policy file (default: policy.json in STASIS_HOME)')
    .option(
      '--restart',
      'restore the job when its host comes back after an end of its own; needs --host and --detach',
    )
    .option('--rm', 'remove the job with its log and checkpoints when it ends')
    .option('--no-log', 'keep no log of the output')
    .option(
      '--no-osr',
      'let calls that run for long go on in the code that they began with, instead of moving them to optimised code',
    )
    .option(
      '--json',
      'print the result as one JSON object: when detached on stdout, else last on stderr',
    )
    .addOption(new Option('--memory-digest').hideHelp())
    .addOption(triggerOption('fuel', triggers))
    .addOption(triggerOption('call', triggers));
  return { preopens, pools, kv, providers, providerPaths, listen, secrets, triggers };
}

/** Whether the job is to be restored with its host. Throws ERR_USAGE where nothing would ever do that. */
export function wantsRestart(
  { isElsewhere }: CommandContext,
  { restart, detach, rm }: SharedOptions,
): boolean {
  if (restart !== true) return false;
  if (isElsewhere() && detach === true && rm !== true) return true;
  throw new HostError(
    'ERR_USAGE',
    rm === true
      ? 'A job that is removed when it ends can not be restored.'
      : 'Only a job that a daemon hosts in the background can be restored when its host comes back.',
    { hint: 'stasis --host unix:/run/stasis/stasis.sock run --detach --restart …' },
  );
}

/** The policy file that a command names; null: the host's own. */
export function namedPolicy(
  { settings }: CommandContext,
  { policy }: SharedOptions,
): PolicyPlace | null {
  return policy === undefined ? null : policyPlace(settings.home, policy);
}

/** `parse`, with the option among the facts of its errors. */
function named<T>(option: string, parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      const { code, message, hint, facts } = error;
      throw new HostError(code, message, {
        facts: { option, ...facts },
        ...(hint === undefined ? {} : { hint }),
      });
    }
  };
}

/** `--checkpoint-at-fuel N[:stop]`: for tests, which need a checkpoint at an exact place. */
function triggerOption(on: 'fuel' | 'call', triggers: TriggerOrder[]): Option {
  return new Option(`--checkpoint-at-${on} <n>`).hideHelp().argParser((text: string) => {
    const found = /^(\d{1,19})(:stop)?$/.exec(text);
    if (found === null) {
      throw new HostError('ERR_USAGE', `--checkpoint-at-${on} takes a number, then perhaps :stop.`);
    }
    triggers.push({ on, at: found[1]!, stop: found[2] !== undefined });
  });
}

function parsePages(text: string): number {
  const pages = Math.floor(parseBytes(text) / PAGE_BYTES);
  if (pages <= MEMORY_PAGES_MAX) return pages;
  throw new HostError('ERR_USAGE', 'A guest can have at most 4GiB of memory.');
}

function parseCarryBytes(text: string): number {
  const bytes = parseBytes(text);
  if (bytes <= CARRY_BYTES_MAX) return bytes;
  throw new HostError('ERR_USAGE', 'A checkpoint can hold at most 256MiB of files.');
}

/** `HOST::GUEST::POLICY`, `HOST::GUEST` or `HOST`. A directory that is not there is told when the guest is to start. */
function readPreopen(text: string, readOnly: boolean): Preopen {
  const [host = '', guestPath = host, policy = FILE_POLICY_DEFAULT, ...rest] = text.split('::');
  if (host === '' || guestPath === '' || rest.length > 0 || text.includes('\0')) {
    throw new HostError('ERR_USAGE', `${JSON.stringify(text)} grants no directory.`, {
      hint: 'write --dir HOST::GUEST, such as --dir .::/work',
    });
  }
  if (host.includes('*')) {
    throw new HostError('ERR_USAGE', 'A directory with * in its name can not be granted.', {
      hint: 'rename it, or grant the directory above it',
    });
  }
  return {
    hostPath: truePath(resolve(host)),
    guestPath,
    readOnly,
    policy: readPolicy(policy, readOnly),
  };
}

function readPolicy(policy: string, readOnly: boolean): FilePolicy {
  if (!isFilePolicy(policy)) {
    throw new HostError('ERR_USAGE', `${JSON.stringify(policy)} is no policy for files.`, {
      hint: `write --dir HOST::GUEST::POLICY, with one of ${FILE_POLICIES.join(', ')}`,
    });
  }
  if (readOnly && (policy === 'rollback' || policy === 'private')) {
    throw new HostError(
      'ERR_USAGE',
      `Nothing changes in a directory that is granted for reading only, so it can't be ${policy}.`,
      { hint: `grant it with --dir HOST::GUEST::${policy}, or leave the policy out` },
    );
  }
  return policy;
}
