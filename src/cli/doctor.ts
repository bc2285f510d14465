/**
 * `stasis doctor`: what this system offers, and what is done where it offers less.
 */
import { styleText } from 'node:util';
import type { Command } from 'commander';
import { cellProgram } from '../host/cell-command.ts';
import { type Examination, examine, type Finding } from '../host/examine.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { formatTable, withProgress } from './terminal.ts';

const HEAD = ['WHAT', 'HERE', ''];

export function addDoctorCommand(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .summary('say what this system offers guests')
    .description(
      'Start and confine an empty process as for a guest, and say what holds it, which ways are in use, and what is missing. The exit status is 1 when something is missing.',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis doctor')
    .action(async ({ json }: { json?: boolean }) => {
      const found = await withProgress(
        'trying what this system offers',
        context.err,
        examine(cellProgram(process.execPath)),
      );
      const missing = [...found.confinement, ...found.ways].filter(({ works }) => !works);
      if (json) printJson(context.out, { ...found, missing: missing.map(({ name }) => name) });
      else context.out.write(await describe(found, missing, context.out));
      context.exitWith(missing.length === 0 ? 0 : 1);
    });
}

async function describe(
  { node, engine, system, landlock, confinement, ways }: Examination,
  missing: readonly Finding[],
  out: NodeJS.WriteStream,
): Promise<string> {
  const row = ({ name, works, gives, otherwise }: Finding): string[] => [
    name,
    styleText(works ? 'green' : 'yellow', works ? 'yes' : 'no', { stream: out }),
    works ? gives : otherwise,
  ];
  const last =
    missing.length === 0
      ? 'Everything is here: --confine require runs.'
      : `Missing: ${missing.map(({ name }) => name).join(', ')}.`;
  const table = await formatTable(HEAD, [...confinement, ...ways].map(row), out);
  return [
    `Node ${node}, ${engine}, ${system}, Landlock ${landlock === 0 ? 'absent' : landlock}`,
    '',
    table.trimEnd(),
    '',
    `${last}\n`,
  ].join('\n');
}
