/** What this process has open below a directory; other files come and go with the runner. */
import { readdirSync, readlinkSync } from 'node:fs';

/** Paths of what is open at or below `directory`, one for each descriptor. */
export function openBelow(directory: string): string[] {
  const found: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      if (path.startsWith(directory)) found.push(path);
    } catch (error) {
      // The descriptor that the listing itself was made with is closed by now.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return found.sort();
}
