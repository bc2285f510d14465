import type { Explanation } from '../checkpoint/explain.ts';
import { visibleText } from '../fault/visible-text.ts';
import { formatTable } from './terminal.ts';

const HEAD = ['FIELD', 'SEALED', 'NOW', ''];

/** Both sides of each field, and whether the checkpoint can be restored. */
export async function describeExplanation(
  { job, sequence, stamp, restorable, fields }: Explanation,
  out: NodeJS.WriteStream,
): Promise<string> {
  const rows = fields.map(({ name, sealed, now, verdict }) =>
    [name, sealed, now, verdict].map((text) => visibleText(text)),
  );
  const differing = fields.filter(({ verdict }) => verdict === 'differs').length;
  const answer = restorable
    ? 'can be restored here'
    : `can't be restored here: ${differing} ${differing === 1 ? 'field differs' : 'fields differ'}`;
  const table = await formatTable(HEAD, rows, out);
  return `${table}${visibleText(job)} #${sequence} of ${stamp} ${answer}\n`;
}
