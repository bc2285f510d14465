/**
 * How a cell is started: which program, with which of Node's permissions.
 *
 * The permission model is on, the environment is empty, no inspector can be attached. The cell may
 * read its own code, the directories that were granted, and what providers need; and write those of them
 * that are not read-only or private, and its job's own directory for files. A page file of a pool is written also when
 * the guest may only read it: locks and frames are shared by writing. It may not open sockets, start
 * processes or load addons.
 *
 * Calls of the C library are allowed: under the permission model Node refuses fsync, fdatasync and the
 * setting of times by descriptor altogether, and a checkpoint that outlives a power cut needs them
 * (`handle/native-calls.ts`).
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ENGINE_FLAGS } from '../cell/engine-flags.ts';
import type { Preopen } from '../cell/protocol.ts';
import { type PoolGrant, poolFilePaths } from '../pool/pool-grant.ts';
import type { WasiLayer } from '../wasi/layers.ts';

/** Where the cell's code lies. Everything it imports is under one of `codeDirectories`. */
export interface CellProgram {
  readonly node: string;
  readonly entry: string;
  readonly codeDirectories: readonly string[];
}

/** A file or directory that something else in the cell than the guest needs, by its name. */
export interface CellPath {
  readonly hostPath: string;
  readonly readOnly: boolean;
}

/** Where this file's program lies: `src/`, or `dist/`, where every file is one directory below as well. */
const OWN_CODE = fileURLToPath(new URL('../', import.meta.url));

/** The cell's program in the directory `code`, as source or as built. */
export function cellProgram(node: string, code = OWN_CODE): CellProgram {
  const built = join(code, 'cell/main.js');
  return {
    node,
    entry: existsSync(built) ? built : join(code, 'cell/main.ts'),
    codeDirectories: [code, ...packagePlaces(code, 'cbor-x')],
  };
}

/** `program` with what else its code imports for that layer. */
export function programFor(program: CellProgram, layer: WasiLayer): CellProgram {
  if (layer === 'stasis') return program;
  const codeDirectories = [...program.codeDirectories, ...packagePlaces(OWN_CODE, '@wasmer/wasi')];
  return { ...program, codeDirectories };
}

/**
 * Every place where Node looks for a package that code in `from` imports, and where it really lies.
 * A place that does not exist needs a grant too, or looking there ends the search with a refusal.
 */
function packagePlaces(from: string, name: string): string[] {
  const found = fileURLToPath(new URL('.', import.meta.resolve(name)));
  const places: string[] = [];
  for (let at = dirname(from); ; at = dirname(at)) {
    const place = join(at, 'node_modules', name);
    places.push(place);
    if (existsSync(place) || dirname(at) === at) return [...places, found];
  }
}

/**
 * Arguments of the node program.
 *
 * `/proc/self/fd` is how directories are walked from an open one: the permission model judges the
 * path as it is written, so that name needs a grant of its own.
 */
export function cellArguments(
  program: CellProgram,
  preopens: readonly Preopen[],
  keepingDirectory: string | null = null,
  pools: readonly PoolGrant[] = [],
  paths: readonly CellPath[] = [],
): string[] {
  const read = [...program.codeDirectories];
  const write: string[] = [];
  for (const { hostPath, readOnly, policy } of preopens) {
    read.push(hostPath);
    // A guest changes a private view in the job's own directory.
    if (!readOnly && policy !== 'private') write.push(hostPath);
  }
  if (keepingDirectory !== null) {
    read.push(keepingDirectory);
    write.push(keepingDirectory);
  }
  if (preopens.length > 0) read.push('/proc/self/fd');
  if (write.length > 0) write.push('/proc/self/fd');
  for (const path of pools.flatMap(({ hostPath }) => poolFilePaths(hostPath))) {
    read.push(path);
    write.push(path);
  }
  for (const { hostPath, readOnly } of paths) {
    read.push(hostPath);
    if (!readOnly) write.push(hostPath);
  }
  return [
    '--permission',
    '--allow-worker',
    '--allow-ffi',
    // The warnings are about programs that somebody else wrote; a cell runs only its own.
    '--disable-warning=PERM0003',
    '--disable-warning=PERM0006',
    '--disable-warning=ExperimentalWarning',
    '--disable-sigusr1',
    '--no-addons',
    ...ENGINE_FLAGS,
    ...outermost(read).map((path) => `--allow-fs-read=${path}`),
    ...outermost(write).map((path) => `--allow-fs-write=${path}`),
    program.entry,
  ];
}

/**
 * `paths` without those that lie below another one, which are granted with it. Node refuses a directory
 * that is granted after one below it: so whoever grants `/` would lose the cell's own code, or `/`.
 */
function outermost(paths: readonly string[]): string[] {
  const kept: string[] = [];
  for (const path of [...new Set(paths)].sort((a, b) => a.length - b.length)) {
    if (!kept.some((above) => path.startsWith(above.endsWith('/') ? above : `${above}/`))) {
      kept.push(path);
    }
  }
  return kept;
}
