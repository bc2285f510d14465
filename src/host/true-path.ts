import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Without symbolic links, as the cell's permissions are judged by the true name. Of a file that is not
 * there yet: as far as its directory is.
 */
export function truePath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    try {
      return join(realpathSync(dirname(path)), basename(path));
    } catch {
      return path;
    }
  }
}
