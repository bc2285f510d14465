/**
 * `stasis audit`: the vault's ledger, checked from its first entry to its last.
 */
import type { Command } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import type { Audit, AuditEntry, AuditFilter } from '../vault/audit.ts';
import { type CommandContext, printJson, withTable } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';
import { parseStamp } from './quantities.ts';
import { dim, formatTable } from './terminal.ts';

const HEAD = ['#', 'TIME', 'EVENT', 'OWNER', 'CHECKPOINT', ''];

interface AuditOptions {
  readonly all?: boolean;
  readonly owner?: string;
  readonly event?: string;
  readonly since?: string;
  readonly json?: boolean;
}

export function addAuditCommand(program: Command, context: CommandContext): void {
  program
    .command('audit')
    .summary('tell what happened in the vault')
    .description(
      'Tell what happened to your checkpoints, from the vault’s ledger: a chain in which no entry can be changed, moved or left out. The whole chain is checked; its head is told, so that it can be noted elsewhere.',
    )
    .argument('[job]', 'only what concerns checkpoints of this job')
    .option('--all', 'what happened to everybody’s, and to the vault')
    .option('--owner <owner>', 'what happened to another owner’s, such as uid:1000')
    .option('--event <event>', 'only this event, such as sealed or removed')
    .option('--since <time>', 'only from then on, such as 2026-11-23 or a whole stamp', parseStamp)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis audit --event removed --since 2026-11-01')
    .action(async (name: string | undefined, options: AuditOptions) => {
      const audit = await readLedger(context, name, options);
      if (options.json) printJson(context.out, audit);
      else await printAudit(context, audit);
    });
}

async function readLedger(
  context: CommandContext,
  name: string | undefined,
  { all, owner, event, since }: AuditOptions,
): Promise<Audit> {
  if (!all && owner === undefined) {
    const host = await context.host();
    return host.audit({ job: name ?? null, event: event ?? null, since: since ?? null });
  }
  if (all && (owner !== undefined || name !== undefined)) {
    throw new HostError('ERR_USAGE', '--all is about everybody: it takes no owner and no job.');
  }
  const job =
    name === undefined || owner === undefined
      ? null
      : await withTable(context, async (table) => table.find(owner, name).job.id);
  const filter: AuditFilter = {
    ...(owner === undefined ? {} : { owner }),
    ...(event === undefined ? {} : { event }),
    ...(since === undefined ? {} : { since: new Date(since) }),
    ...(job === null ? {} : { job }),
  };
  return withExistingVault(context, (vault) => vault.audit(filter));
}

async function printAudit({ out }: CommandContext, { entries, head }: Audit): Promise<void> {
  out.write(await formatTable(HEAD, entries.map(entryRow), out));
  out.write(`${dim(`${head.entries} entries in all, head ${head.head}`, out)}\n`);
}

function entryRow({ number, time, event, facts }: AuditEntry): string[] {
  const { owner, checkpoint, job: _, ...others } = facts;
  const told = Object.entries(others).flatMap(([key, value]) => {
    const text = Array.isArray(value) ? String(value.length) : String(value);
    // Nothing freed, nothing to tell.
    return Array.isArray(value) && value.length === 0 ? [] : [`${key} ${visibleText(text, 80)}`];
  });
  return [
    String(number),
    time,
    visibleText(event),
    visibleText(String(owner ?? '')),
    visibleText(String(checkpoint ?? '')),
    told.join(', '),
  ];
}
