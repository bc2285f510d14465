/**
 * `stasis run`: starts a guest, in the foreground or detached.
 */
import { basename, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { CARRY_BYTES_DEFAULT, type RunRequest } from '../host/run-request.ts';
import { BOUNDS_DEFAULT } from '../resource/bounds.ts';
import { WASI_LAYERS, type WasiLayer } from '../wasi/layers.ts';
import type { CommandContext } from './command-context.ts';
import { hostInBackground, hostInForeground } from './host-command.ts';
import type { SecretOrder } from './job-order.ts';
import {
  addSharedOptions,
  MEMORY_PAGES_DEFAULT,
  namedPolicy,
  type SharedOptions,
  TABLE_ENTRIES_DEFAULT,
  wantsRestart,
} from './run-options.ts';

interface RunOptions extends SharedOptions {
  readonly name?: string;
  readonly invoke?: string;
  readonly trapUnknownImports?: boolean;
  readonly wasi: WasiLayer;
}

export function addRunCommand(program: Command, context: CommandContext): void {
  const command = program.command('run');
  const gathered = addSharedOptions(command, context.environment, {
    memory: '1GiB',
    table: '1000000',
    carry: '64MiB',
    confine: 'auto',
    onLimit: 'end',
    clock: 'coarse',
    handles: String(BOUNDS_DEFAULT.handles),
    files: String(BOUNDS_DEFAULT.files),
    random: '256MiB',
    private: '1GiB',
    checkpoints: String(BOUNDS_DEFAULT.checkpoints),
  });
  const env: string[] = [];
  command
    .summary('run a WASI module')
    .description('Run a WASI module. What follows MODULE belongs to the guest.')
    .argument('<module>', 'the .wasm file')
    .argument('[args...]', 'arguments of the guest')
    .passThroughOptions()
    .option(
      '--name <name>',
      'name of the job; without one, a job that makes no checkpoint is not kept',
    )
    .option(
      '--env <k=v>',
      'set a variable of the guest; K alone takes the value from here',
      (text) => {
        env.push(readVariable(text, context.environment));
      },
    )
    .option(
      '--invoke <export>',
      'call this exported function instead of _start, of a reactor after _initialize',
    )
    .option('--trap-unknown-imports', 'run although imports are missing; calling one traps')
    .addOption(
      new Option(
        '--wasi <layer>',
        "what answers the guest's WASI calls: stasis, or wasmer for the package @wasmer/wasi, whose files are in memory",
      )
        .choices(WASI_LAYERS)
        .default('stasis'),
    )
    .addHelpText(
      'after',
      `
Example:
  $ stasis run --detach --name job --checkpoint-every 1s guests/build/nqueens.wasm 12
  $ stasis run --pool tree=data.pages,frames=64 guests/build/pools/pool-btree.wasm 0 1 1000

The exit status is the guest's own; docs/errors.md lists the others.`,
    )
    .action(async (module: string, args: string[], options: RunOptions) => {
      const request: RunRequest = {
        modulePath: modulePathOf(module),
        args: [basename(module), ...args],
        env: checkNames(env, gathered.secrets, options.wasi),
        ...(gathered.secrets.length === 0
          ? {}
          : { secrets: gathered.secrets.map(({ name }) => name) }),
        preopens: gathered.preopens,
        pools: gathered.pools,
        kv: gathered.kv,
        providers: gathered.providers,
        providerPaths: gathered.providerPaths,
        listen: gathered.listen,
        fuel: options.fuel ?? null,
        memoryPages: options.maxMemory ?? MEMORY_PAGES_DEFAULT,
        tableEntries: options.maxTable ?? TABLE_ENTRIES_DEFAULT,
        carryBytesMax: options.carryMax ?? CARRY_BYTES_DEFAULT,
        confine: options.confine ?? 'auto',
        outputBytes: options.maxOutput ?? null,
        onLimit: options.onLimit ?? 'end',
        handles: options.maxHandles ?? BOUNDS_DEFAULT.handles,
        files: options.maxFiles ?? BOUNDS_DEFAULT.files,
        randomCallBytes: options.maxRandom ?? BOUNDS_DEFAULT.randomCallBytes,
        privateBytes: options.maxPrivate ?? BOUNDS_DEFAULT.privateBytes,
        guestCheckpoints: options.maxCheckpoints ?? BOUNDS_DEFAULT.checkpoints,
        clock: options.clock ?? 'coarse',
        timeoutMs: options.timeout ?? null,
        checkpointEveryMs: options.checkpointEvery ?? null,
        invoke: options.invoke ?? null,
        trapUnknownImports: options.trapUnknownImports ?? false,
        wasi: options.wasi,
        osr: options.osr,
        keepLog: options.log,
        removeAtEnd: options.rm ?? false,
        restart: wantsRestart(context, options),
      };
      const ask = {
        work: { kind: 'run', name: options.name ?? null, request },
        triggers: gathered.triggers,
        digestMemory: options.memoryDigest ?? false,
        secrets: gathered.secrets,
        policy: namedPolicy(context, options),
      } as const;
      const json = options.json ?? false;
      if (options.detach) await hostInBackground(context, ask, json);
      else await hostInForeground(context, ask, json);
    });
}

/** Throws ERR_USAGE for a secret that is given as a variable as well, or can't be kept secret. */
function checkNames(
  env: readonly string[],
  secrets: readonly SecretOrder[],
  wasi: WasiLayer,
): readonly string[] {
  const both = secrets.find(({ name }) => env.some((entry) => entry.startsWith(`${name}=`)));
  if (both !== undefined) {
    throw new HostError('ERR_USAGE', `The variable ${both.name} is given twice.`, {
      hint: 'give it as --env-secret alone',
    });
  }
  if (wasi !== 'stasis' && secrets.length > 0) {
    throw new HostError(
      'ERR_USAGE',
      `The WASI layer ${wasi} keeps variables in a memory that is part of every image.`,
      { hint: 'leave --env-secret or --wasi out' },
    );
  }
  return env;
}

function readVariable(text: string, environment: NodeJS.ProcessEnv): string {
  const at = text.indexOf('=');
  if (text === '' || at === 0 || text.includes('\0')) {
    throw new HostError('ERR_USAGE', `${JSON.stringify(text)} sets no variable.`, {
      hint: 'write --env NAME=VALUE',
    });
  }
  if (at > 0) return text;
  const value = environment[text];
  if (value !== undefined) return `${text}=${value}`;
  throw new HostError('ERR_USAGE', `The variable ${JSON.stringify(text)} is not set here.`, {
    hint: `write --env ${text}=VALUE`,
  });
}

/** An empty name would be the working directory. */
function modulePathOf(module: string): string {
  if (module !== '') return resolve(module);
  throw new HostError('ERR_USAGE', 'The name of the module is empty.', {
    hint: 'stasis run program.wasm',
  });
}
