import { errorCode } from '../fault/io-failure.ts';
import type { FilePort } from './file-port.ts';

const COPY_BYTES = 1_048_576;

/** Makes a new file, mode 0600, with this content, durable but for its name. Rejects with the system's error. */
export async function writeWhole(path: string, bytes: Uint8Array, files: FilePort): Promise<void> {
  const file = await files.create(path);
  try {
    for (let at = 0; at < bytes.length; ) at += await file.write(bytes.subarray(at), at);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** What a small file holds, cut at `bytesMax`; null when there is none. Rejects with the system's error. */
export async function readSmallFile(
  path: string,
  files: FilePort,
  bytesMax: number,
): Promise<string | null> {
  let file: Awaited<ReturnType<FilePort['open']>>;
  try {
    file = await files.open(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const buffer = Buffer.alloc(bytesMax);
    let length = 0;
    for (;;) {
      const count = await file.read(buffer.subarray(length), length);
      length += count;
      if (count === 0 || length === buffer.length) return buffer.toString('latin1', 0, length);
    }
  } finally {
    await file.close();
  }
}

/** Copies a file to a new one, durable but for its name. Rejects with the system's error. */
export async function copyWhole(from: string, to: string, files: FilePort): Promise<number> {
  const source = await files.open(from);
  try {
    const target = await files.create(to);
    try {
      const buffer = Buffer.allocUnsafeSlow(COPY_BYTES);
      let at = 0;
      for (;;) {
        const count = await source.read(buffer, at);
        if (count === 0) break;
        for (let done = 0; done < count; ) {
          done += await target.write(buffer.subarray(done, count), at + done);
        }
        at += count;
      }
      await target.datasync();
      return at;
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}
