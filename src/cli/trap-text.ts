/** Where a guest trapped, as lines for people. */
import { visibleText } from '../fault/visible-text.ts';
import type { RunEnding } from '../host/run-ending.ts';

type TrapStack = NonNullable<Extract<RunEnding, { kind: 'trap' }>['stack']>;

/** A line for each frame, innermost first: its name, its index, and the instruction's offset as far as it is known. */
export function describeTrap({ frames, more, isCut }: TrapStack): string[] {
  const lines = frames.map(({ func, name, offset }) => {
    const at = offset === null ? '' : `, offset 0x${offset.toString(16)}`;
    const where = `function ${func}${at}`;
    return name === null || name === '' ? `  at ${where}` : `  at ${visibleText(name)} (${where})`;
  });
  if (isCut) lines.push(`  … ${more.toLocaleString('en')} more, and others outside of them`);
  else if (more > 0) lines.push(`  … ${more.toLocaleString('en')} more`);
  return lines;
}
