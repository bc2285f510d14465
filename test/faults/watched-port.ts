/** The file port, each operation shown to a watcher first. Syncs are shown and not done: no test loses power. */
import type { FilePort, OpenFile } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import type { DiskOperation, Fault, Watcher } from './disk-operation.ts';

export function watchedPort(watcher: Watcher): FilePort {
  const meet = (operation: DiskOperation): Fault | null => {
    const fault = watcher(operation, 'port');
    if (fault !== null && fault.code !== null && fault.torn !== true) throw systemError(fault.code);
    return fault;
  };
  const wrap = (file: OpenFile, path: string): OpenFile => ({
    write: async (bytes, offset) => {
      const fault = meet({ kind: 'write', path, offset, content: bytes });
      if (fault === null) return file.write(bytes, offset);
      if (fault.code === null) return file.write(half(bytes), offset);
      await file.write(half(bytes), offset);
      throw systemError(fault.code);
    },
    read: async (into, offset) => {
      const fault = meet({ kind: 'read', path });
      return file.read(fault === null ? into : half(into), offset);
    },
    datasync: async () => void meet({ kind: 'sync', path }),
    close: async () => {
      // As in Linux, a close that fails has closed all the same.
      await file.close();
      meet({ kind: 'close', path });
    },
  });
  return {
    create: async (path) => {
      meet({ kind: 'create', path });
      return wrap(await nodeFiles.create(path), path);
    },
    open: async (path) => {
      meet({ kind: 'open', path });
      return wrap(await nodeFiles.open(path), path);
    },
    makeDirectory: async (path) => {
      meet({ kind: 'makeDirectory', path });
      await nodeFiles.makeDirectory(path);
    },
    syncDirectory: async (path) => void meet({ kind: 'syncDirectory', path }),
    link: async (path, newPath) => {
      meet({ kind: 'link', path, newPath });
      await nodeFiles.link(path, newPath);
    },
    rename: async (path, newPath) => {
      meet({ kind: 'rename', path, newPath });
      await nodeFiles.rename(path, newPath);
    },
    remove: async (path) => {
      meet({ kind: 'remove', path });
      await nodeFiles.remove(path);
    },
    list: async (path) => {
      meet({ kind: 'list', path });
      return nodeFiles.list(path);
    },
    look: async (path) => {
      meet({ kind: 'look', path });
      return nodeFiles.look(path);
    },
    resolve: async (path) => {
      meet({ kind: 'resolve', path });
      return nodeFiles.resolve(path);
    },
  };
}

/** At least one byte: none at all would mean the end. */
function half(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, Math.max(1, bytes.length >> 1));
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
