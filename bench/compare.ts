/**
 * Two files of results side by side: every number that both have, at the same place, and how it changed.
 *
 * Both were measured at other times, so what differs by less than either's noise means nothing: compare
 * ratios, which were taken within one run, rather than times.
 */
export interface Change {
  /** Names on the way to the number, such as `kernels.gemm.ratios.ours`. */
  readonly path: string;
  readonly before: number;
  readonly after: number;
}

/** Numbers that differ by more than `share` of the earlier one, in the order of `after`. */
export function changesBetween(before: unknown, after: unknown, share: number): Change[] {
  const earlier = new Map(numbersIn(before, ''));
  return numbersIn(after, '').flatMap(([path, value]) => {
    const was = earlier.get(path);
    if (was === undefined || Math.abs(value - was) <= Math.abs(was) * share) return [];
    return [{ path, before: was, after: value }];
  });
}

function numbersIn(value: unknown, path: string): [string, number][] {
  if (typeof value === 'number') return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`);
  if (!Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, part]) => numbersIn(part, at(key)));
  }
  return value.flatMap((part, index) => numbersIn(part, at(nameOf(part) ?? String(index))));
}

/** Rows are told apart by what they are about, so that a new one moves no other. */
function nameOf(row: unknown): string | null {
  if (typeof row !== 'object' || row === null) return null;
  const names = Object.values(row).filter((part) => typeof part === 'string');
  return names.length === 0 ? null : names.join(' ');
}
