/**
 * Functions of the C library through `node:ffi`, its errno, and the memory that they speak of.
 *
 * Linux with 64-bit pointers only: the structures that callers lay out are that system's. Absent
 * elsewhere, and where a process may not use FFI (`--allow-ffi`).
 */
import { constants } from 'node:os';
import { type Errno, errnoOfCode } from '../abi/errno.ts';

export type Signatures = Readonly<
  Record<string, { readonly arguments: readonly string[]; readonly return: string }>
>;

export interface NativeLibrary<S extends Signatures> {
  readonly functions: { readonly [K in keyof S]: (...args: unknown[]) => number | bigint };
  /** Of the call that failed last on this thread, as the guest knows it. */
  errno(): Errno;
  /** The same as the system's own number. */
  hostErrno(): number;
  /** The bytes at `address`, not copied: they must stay mapped as long as the result is used. */
  view(address: bigint, lengthBytes: number): ArrayBuffer;
  /** Where the buffer lies. Keeps nothing alive: hold the buffer for as long as the address is used. */
  addressOf(buffer: ArrayBufferLike): bigint;
}

const ERRNO_LOCATION = { arguments: [], return: 'pointer' } as const;

const HOST_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

/** Without Node's warning that FFI may change: it is for whoever chose it, and a user did not. */
function quietly<T>(work: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return work();
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Null where there is no FFI; `check` says whether Node understood the signatures as meant. */
export function openNativeLibrary<S extends Signatures>(
  signatures: S,
  check: (library: NativeLibrary<S>) => boolean,
): NativeLibrary<S> | null {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return null;
  try {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
    const all = { ...signatures, __errno_location: ERRNO_LOCATION };
    const opened = quietly(() => ffi.dlopen(null, all as Parameters<typeof ffi.dlopen>[1]));
    const functions = opened.functions as unknown as NativeLibrary<S>['functions'] & {
      readonly __errno_location: () => bigint;
    };
    const hostErrno = (): number => ffi.getInt32(functions.__errno_location(), 0);
    const library: NativeLibrary<S> = {
      functions,
      errno: () => errnoOfCode(HOST_NAMES.get(hostErrno()) ?? ''),
      hostErrno,
      view: (address, lengthBytes) => ffi.toArrayBuffer(address, lengthBytes, false),
      addressOf: (buffer) => ffi.getRawPointer(buffer as ArrayBuffer),
    };
    return check(library) ? library : null;
  } catch {
    return null;
  }
}
