/**
 * What every command is given: where things are, who asks, where to print, and how.
 */
import { HostError } from '../fault/host-error.ts';
import { visibleJson } from '../fault/visible-text.ts';
import { JobTable } from '../host/job-table.ts';
import { preparePlaces } from '../host/places.ts';
import type { Vault } from '../vault/vault.ts';
import type { Host } from './host.ts';
import { openPlacesVault } from './places-vault.ts';
import { type Settings, settingsPlaces, type VaultOptionTexts } from './settings.ts';

export interface CommandContext {
  readonly settings: Settings;
  /** Whom the commands ask. */
  readonly host: () => Promise<Host>;
  /** From now on the host at that address: `unix:PATH` or an absolute path. */
  readonly chooseHost: (address: string) => void;
  /** From now on the vault with that key and witness. Throws ERR_USAGE. */
  readonly chooseVault: (options: VaultOptionTexts) => void;
  /** Whether that is another process, with a state directory of its own. */
  readonly isElsewhere: () => boolean;
  readonly environment: NodeJS.ProcessEnv;
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Sets the exit status of the command; 0 unless it is called. */
  readonly exitWith: (status: number) => void;
}

export function printJson(stream: NodeJS.WriteStream, value: unknown): void {
  stream.write(`${visibleJson(value)}\n`);
}

/** Runs `body` with the process table open. */
export async function withTable<T>(
  context: CommandContext,
  body: (table: JobTable) => Promise<T>,
): Promise<T> {
  const { settings } = context;
  refuseElsewhere(context);
  const places = settingsPlaces(settings);
  preparePlaces(places);
  const table = new JobTable(places.jobsDatabase);
  try {
    return await body(table);
  } finally {
    table.close();
  }
}

/** Runs `body` with the vault open. */
export async function withVault<T>(
  context: CommandContext,
  body: (vault: Vault) => Promise<T>,
): Promise<T> {
  const { settings } = context;
  refuseElsewhere(context);
  const vault = await openPlacesVault(settingsPlaces(settings));
  try {
    return await body(vault);
  } finally {
    await vault.close();
  }
}

/** A command that works in a state directory itself must not do so in another one than was meant. */
export function refuseElsewhere({ isElsewhere }: Pick<CommandContext, 'isElsewhere'>): void {
  if (!isElsewhere()) return;
  throw new HostError('ERR_USAGE', 'This command is not for a host behind a socket.', {
    hint: 'leave out --host and STASIS_HOST; whoever runs that host can use its state directory',
  });
}

/** `TERM` or `SIGTERM`, in either case. Throws ERR_USAGE for a signal that ends no job. */
export function signalName(text: string): string {
  const name = text.toUpperCase().startsWith('SIG')
    ? text.toUpperCase()
    : `SIG${text.toUpperCase()}`;
  if (/^SIG(HUP|INT|QUIT|KILL|TERM|ABRT)$/.test(name)) return name;
  throw new HostError('ERR_USAGE', `${JSON.stringify(text)} is not a signal that ends a job.`, {
    hint: 'TERM, INT, HUP, QUIT, ABRT or KILL',
  });
}
