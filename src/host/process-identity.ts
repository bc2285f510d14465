/**
 * Whether a process that was recorded is still the same process.
 *
 * A process id alone is reused. With the moment at which it began, in the kernel's own clock, and the
 * id of the boot that this clock counts from, it is unique. Where the kernel does not tell (no /proc),
 * the id alone has to do.
 */
import { readFileSync } from 'node:fs';
import { errorCode } from '../fault/io-failure.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** `<boot id>:<start time in ticks>`, or null where the system does not tell. */
  readonly stamp: string | null;
}

/** The identity of a living process. */
export function identifyProcess(pid: number): ProcessIdentity {
  return { pid, stamp: readStat(pid)?.stamp ?? null };
}

export function isAlive(process_: ProcessIdentity): boolean {
  if (process_.stamp !== null) {
    const now = readStat(process_.pid);
    // A zombie has ended; only its parent has not asked yet.
    return now !== null && now.stamp === process_.stamp && now.state !== 'Z' && now.state !== 'X';
  }
  try {
    process.kill(process_.pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** SIGKILL to exactly that process; nothing when it is gone. */
export function killProcess(process_: ProcessIdentity): void {
  if (!isAlive(process_)) return;
  try {
    process.kill(process_.pid, 'SIGKILL');
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

function readStat(pid: number): { stamp: string; state: string } | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses and may hold anything, `)` too.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const state = fields[0];
    const startTicks = fields[19];
    if (state === undefined || startTicks === undefined) return null;
    return { stamp: `${boot}:${startTicks}`, state };
  } catch {
    return null;
  }
}
