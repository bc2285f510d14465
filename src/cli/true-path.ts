import { realpathSync } from 'node:fs';

/** Without symbolic links, as the cell's permissions are judged by the true name. */
export function truePath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
