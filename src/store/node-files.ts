import { constants } from 'node:fs';
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  unlink,
} from 'node:fs/promises';
import { errorCode } from '../fault/io-failure.ts';
import type { FilePort, OpenFile } from './file-port.ts';

/** The file system of this machine. */
export const nodeFiles: FilePort = {
  create: async (path) => wrap(await open(path, 'wx+', 0o600)),
  open: async (path) => wrap(await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)),
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  syncDirectory: async (path) => {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  link,
  rename,
  remove: unlink,
  list: readdir,
  look: async (path) => {
    try {
      const found = await lstat(path);
      const kind = found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other';
      return { kind, mode: found.mode & 0o7777, uid: found.uid, bytes: found.size };
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null;
      throw error;
    }
  },
  resolve: realpath,
};

function wrap(handle: FileHandle): OpenFile {
  return {
    write: async (bytes, position) =>
      (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
    read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    datasync: () => handle.datasync(),
    close: () => handle.close(),
  };
}
