/**
 * Reads the module that a user named, and says early and plainly when it can't be one.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { withUserRights } from '../native/user-rights.ts';

/** V8 takes no larger module. */
const MODULE_BYTES_MAX = 2 ** 30;
const PREAMBLE_BYTES = 8;
const MAGIC = Buffer.from('\0asm', 'latin1');
const MODULE_VERSION = 1;
/** A component has layer 1 in the upper half of the version field. */
const COMPONENT_LAYER = 1;

export interface ModuleFile {
  readonly bytes: Uint8Array;
  /** Hex SHA-256 of exactly these bytes. */
  readonly digest: string;
}

/** Throws ERR_NO_SUCH_FILE, ERR_MODULE_UNREADABLE, ERR_NOT_WASM, ERR_COMPONENT, ERR_MALFORMED_MODULE. */
export function readModuleFile(path: string): ModuleFile {
  const bytes = withUserRights(() => readRegularFile(path));
  checkPreamble(path, bytes);
  return { bytes, digest: moduleDigest(bytes) };
}

export function moduleDigest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function readRegularFile(path: string): Uint8Array {
  let fd: number;
  try {
    // Without O_NONBLOCK, opening a FIFO would wait for somebody to write it.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new HostError('ERR_NO_SUCH_FILE', `There is no file ${path}.`, {
        facts: { path },
        hint: 'check the name; it is looked up from the working directory',
      });
    }
    throw unreadable(path, code ?? 'an unknown error', error);
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile())
      throw unreadable(path, found.isDirectory() ? 'it is a directory' : 'it is not a file');
    if (found.size > MODULE_BYTES_MAX) throw unreadable(path, 'it is larger than 1 GiB');
    return readFileSync(fd);
  } catch (error) {
    throw error instanceof HostError ? error : ioFailure(`read ${path}`, error);
  } finally {
    closeSync(fd);
  }
}

function unreadable(path: string, why: string, cause?: unknown): HostError {
  return new HostError('ERR_MODULE_UNREADABLE', `${path} can't be read as a module: ${why}.`, {
    facts: { path },
    hint: 'name a .wasm file that you may read',
    cause,
  });
}

function checkPreamble(path: string, bytes: Uint8Array): void {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, PREAMBLE_BYTES));
  if (
    bytes.length === 0 ||
    !MAGIC.subarray(0, start.length).equals(start.subarray(0, MAGIC.length))
  ) {
    const isText = /^\s*(\(;|;;|\((module|component)\b)/.test(start.toString('latin1'));
    throw new HostError('ERR_NOT_WASM', `${path} is not a WebAssembly module.`, {
      facts: { path, bytes: bytes.length },
      hint: isText
        ? 'it looks like the text format: translate it with wat2wasm'
        : 'name a module that a compiler made for WASI, such as clang --target=wasm32-wasi',
    });
  }
  if (start.length < PREAMBLE_BYTES) {
    throw new HostError('ERR_MALFORMED_MODULE', `${path} ends within its first 8 bytes.`, {
      facts: { path, bytes: bytes.length },
    });
  }
  const version = start.readUInt16LE(4);
  const layer = start.readUInt16LE(6);
  if (layer === COMPONENT_LAYER) {
    throw new HostError('ERR_COMPONENT', `${path} is a component, not a core module.`, {
      facts: { path },
      hint: 'build it for wasm32-wasip1',
    });
  }
  if (version !== MODULE_VERSION || layer !== 0) {
    throw new HostError('ERR_MALFORMED_MODULE', `${path} has an unknown binary version.`, {
      facts: { path, version, layer },
    });
  }
}
