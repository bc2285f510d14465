/** Whether a fault was met by the right answer: a code that says so, or success where the fault is harmless. */
import { expect } from 'vitest';
import type { FaultPlan, Met } from './fault-everywhere.ts';

/** Operations whose failure fails nothing, by how they were met, and why that is right. */
export type Harmless = readonly (readonly [met: RegExp, why: string])[];

export const HARMLESS_ANYWHERE: Harmless = [
  [/^half of it/, 'what is missing is written or read by another call'],
  [/^EINTR once .*: sqlite (read|write|truncate|open|create)/, 'SQLite does it again'],
  [
    /: port close .*\.(pack|lease|hold)$/,
    'what counts was synced before, and it is closed all the same',
  ],
  [/: port close .*(index\.sqlite)$/, 'an empty file; SQLite opens it by its name'],
  [/: port remove .*\.(pack|lease|hold|new)$/, 'the next sweep or nobody looks at it'],
  [/: sqlite remove .*-(wal|journal)$/, 'its content has no meaning any more'],
  [/: sqlite syncDirectory/, 'SQLite takes no notice; the vault has synced it itself'],
  [/: sqlite \w+ .*\.lease$/, 'a lease that can not be judged counts as held'],
];

/** `met` as `Harmless` names it. */
export function judge(
  { name, fault, lasts }: FaultPlan,
  met: readonly Met[],
  harmless: Harmless,
): void {
  for (const { step, phase, error } of met) {
    const { operation, by } = step;
    const how = `${name} while ${phase}: ${by} ${operation.kind} ${operation.path}`;
    const isHarmless = harmless.some(([pattern]) => pattern.test(how));
    const codes = fault.code === 'ENOSPC' ? ['ERR_DISK_FULL', 'ERR_IO'] : ['ERR_IO'];
    // SQLite itself calls a sector that can't be read a damage.
    const mayRead = lasts === 'for ever' || (operation.kind === 'read' && by === 'sqlite');
    if (fault.code === 'EIO' && mayRead) codes.push('ERR_VAULT_DAMAGED');
    const allowed: (string | null)[] = isHarmless ? [null, ...codes] : codes;
    expect(allowed, how).toContain(error?.code ?? null);
  }
}
