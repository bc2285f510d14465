import type { Confinement } from '../confine/confinement.ts';
import { kernelCalls } from '../confine/kernel-calls.ts';
import { cellFilter } from '../confine/seccomp-filter.ts';

const RLIMIT_DATA = 2;
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;
/** More than a guest's handles, a pool's files and Node's own together. */
const DESCRIPTORS_MAX = 8192n;

/**
 * What only a process can do to itself, on all its threads and those to come: its memory is nobody else's
 * to look into, it has limits, and every system call is judged. The rest was done by whoever started it.
 *
 * `dataBytes`: what it may have of private memory that can be written. There is no limit on processes: the
 * kernel counts them for a user and not for a cell, and the filter lets no process begin.
 */
export function confineSelf(dataBytes: number): Confinement[] {
  const kernel = kernelCalls();
  if (kernel === null) return [];
  const held: Confinement[] = [];
  const limited =
    kernel.limit(RLIMIT_DATA, BigInt(dataBytes)) &&
    kernel.limit(RLIMIT_NOFILE, DESCRIPTORS_MAX) &&
    kernel.limit(RLIMIT_CORE, 0n);
  if (limited) held.push('limits');
  if (kernel.forbidDumps()) held.push('memory');
  const filter = cellFilter(kernel.architecture, process.pid);
  // A filter takes this promise, or a capability that a cell must not have.
  if (kernel.forbidNewPrivileges() && kernel.filterCalls(filter, 'process')) held.push('calls');
  return held;
}
