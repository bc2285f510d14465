/**
 * What is printed for people: colours on a terminal only, tables without borders, and a progress line
 * for what takes longer than a second.
 */
import { styleText } from 'node:util';

const PROGRESS_AFTER_MS = 1000;

export function dim(text: string, stream: NodeJS.WriteStream): string {
  return styleText('dim', text, { stream });
}

/** Columns side by side, the head in bold on a terminal. */
export async function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  stream: NodeJS.WriteStream,
): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const none = '';
  const table = new Table({
    chars: {
      top: none,
      'top-mid': none,
      'top-left': none,
      'top-right': none,
      bottom: none,
      'bottom-mid': none,
      'bottom-left': none,
      'bottom-right': none,
      left: none,
      'left-mid': none,
      mid: none,
      'mid-mid': none,
      right: none,
      'right-mid': none,
      middle: '  ',
    },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  table.push(head.map((name) => styleText('bold', name, { stream })));
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .concat('\n');
}

const BAR_LENGTH = 20;

/** A share of one as a bar: blocks on a terminal, plain characters elsewhere. */
export function formatBar(share: number, stream: NodeJS.WriteStream): string {
  const [full, empty] = stream.isTTY ? ['█', '░'] : ['#', '.'];
  const filled = Math.max(share > 0 ? 1 : 0, Math.round(Math.min(1, share) * BAR_LENGTH));
  return full!.repeat(filled) + dim(empty!.repeat(BAR_LENGTH - filled), stream);
}

/** Waits for `work`; on a terminal, when it takes longer than a second, says what it is. */
export async function withProgress<T>(
  what: string,
  stream: NodeJS.WriteStream,
  work: Promise<T>,
): Promise<T> {
  if (!stream.isTTY) return work;
  const { default: yoctoSpinner } = await import('yocto-spinner');
  const spinner = yoctoSpinner({ text: what, stream });
  const timer = setTimeout(() => spinner.start(), PROGRESS_AFTER_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    if (spinner.isSpinning) spinner.stop();
  }
}
