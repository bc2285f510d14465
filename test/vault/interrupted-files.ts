import type { FilePort } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';

/** Runs `meanwhile` once, when the first pack is synced. */
export function interruptedFiles(meanwhile: () => Promise<unknown>): FilePort {
  let pending: (() => Promise<unknown>) | null = meanwhile;
  return {
    ...nodeFiles,
    create: async (path) => {
      const file = await nodeFiles.create(path);
      return {
        ...file,
        datasync: async () => {
          const work = pending;
          pending = null;
          await work?.();
          await file.datasync();
        },
      };
    },
  };
}
