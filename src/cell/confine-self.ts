import type { Confinement } from '../confine/confinement.ts';
import { kernelCalls } from '../confine/kernel-calls.ts';
import { cellFilter } from '../confine/seccomp-filter.ts';

/**
 * What only a process can do to itself, on all its threads and those to come: its memory is nobody else's
 * to look into, and every system call is judged. The rest was done by whoever started it.
 */
export function confineSelf(): Confinement[] {
  const kernel = kernelCalls();
  if (kernel === null) return [];
  const held: Confinement[] = [];
  if (kernel.forbidDumps()) held.push('memory');
  const filter = cellFilter(kernel.architecture, process.pid);
  // A filter takes this promise, or a capability that a cell must not have.
  if (kernel.forbidNewPrivileges() && kernel.filterCalls(filter, 'process')) held.push('calls');
  return held;
}
