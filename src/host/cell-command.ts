/**
 * How a cell is started: which program, with which of Node's permissions (`node-permissions.ts` puts them on it).
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
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Preopen } from '../cell/protocol.ts';
import type { PathRule } from '../confine/landlock.ts';
import { type PoolGrant, poolFilePaths } from '../pool/pool-grant.ts';
import type { WasiLayer } from '../wasi/layers.ts';
import { type NodePermissions, nodePermissions, refuseWildcards } from './node-permissions.ts';

/** Where the cell's code lies. Everything it imports is under one of `codeDirectories`. */
export interface CellProgram {
  readonly node: string;
  readonly entry: string;
  /** The entry for a guest that goes on from an image. */
  readonly restoredEntry: string;
  readonly codeDirectories: readonly string[];
}

/** A file or directory that something else in the cell than the guest needs, by its name. */
export interface CellPath {
  readonly hostPath: string;
  readonly readOnly: boolean;
}

/** Where this file's program lies: `src/`, or `dist/`, where every file is one directory below as well. */
const OWN_CODE = fileURLToPath(new URL('../', import.meta.url));

/** The cell's program in the directory `code`: as built, with everything in it, or as source. */
export function cellProgram(node: string, code = OWN_CODE): CellProgram {
  const isBuilt = existsSync(join(code, 'cell/main.js'));
  const extension = isBuilt ? 'js' : 'ts';
  return {
    node,
    entry: join(code, `cell/main.${extension}`),
    restoredEntry: join(code, `cell/main-restored.${extension}`),
    codeDirectories: isBuilt ? [code] : [code, ...packagePlaces(code, 'cbor-x')],
  };
}

/** `program` with what else its code imports for that layer. */
export function programFor(program: CellProgram, layer: WasiLayer): CellProgram {
  if (layer === 'stasis' || program.entry.endsWith('.js')) return program;
  const codeDirectories = [...program.codeDirectories, ...packagePlaces(OWN_CODE, '@wasmer/wasi')];
  return { ...program, codeDirectories };
}

/**
 * Every place where Node looks for a package that code in `from` imports, and where it really lies.
 * A place that does not exist needs a grant too, or looking there ends the search with a refusal; so does
 * a link on the way, whose target is looked up by the link's own name.
 */
function packagePlaces(from: string, name: string): string[] {
  const found = fileURLToPath(new URL('.', import.meta.resolve(name)));
  const places: string[] = [];
  for (let at = dirname(from); ; at = dirname(at)) {
    const packages = join(at, 'node_modules');
    const place = join(packages, name);
    places.push(place);
    if (lstatSync(packages, { throwIfNoEntry: false })?.isSymbolicLink()) places.push(packages);
    if (existsSync(place) || dirname(at) === at) return [...places, found];
  }
}

/** What a cell may use of the file system beside its own code. */
export interface CellGrants {
  readonly preopens: readonly Preopen[];
  /** The job's own directory for what it keeps of files; null for none. */
  readonly keepingDirectory: string | null;
  readonly pools: readonly PoolGrant[];
  /** Databases' files: SQLite makes others beside them. */
  readonly databases: readonly CellPath[];
  /** What providers need besides. */
  readonly paths: readonly CellPath[];
}

export const NO_GRANTS: CellGrants = {
  preopens: [],
  keepingDirectory: null,
  pools: [],
  databases: [],
  paths: [],
};

/** Directories for guests' files. A guest changes a private view in the job's own directory. */
function directoriesOf({ preopens, keepingDirectory }: CellGrants): CellPath[] {
  return [
    ...preopens.map(({ hostPath, readOnly, policy }) => ({
      hostPath,
      readOnly: readOnly || policy === 'private',
    })),
    ...(keepingDirectory === null ? [] : [{ hostPath: keepingDirectory, readOnly: false }]),
  ];
}

/**
 * What Node's permission model lets a cell do with files.
 *
 * `/proc/self/fd` is how directories are walked from an open one: the permission model judges the
 * path as it is written, so that name needs a grant of its own. Throws ERR_USAGE for a path with a star.
 */
export function cellPermissions(program: CellProgram, grants: CellGrants): NodePermissions {
  const { preopens, pools, databases, paths } = grants;
  const directories = directoriesOf(grants);
  const named: CellPath[] = [...directories, ...databases, ...paths];
  refuseWildcards([...program.codeDirectories, ...[...named, ...pools].map(pathOf)]);
  // A pool's locks are as many as there are guests: the star at the end of their names is meant.
  const poolFiles = pools.flatMap(({ hostPath }) => poolFilePaths(hostPath));
  const granted: CellPath[] = [
    ...named,
    ...poolFiles.map((hostPath) => ({ hostPath, readOnly: false })),
  ];
  const read = [
    ...program.codeDirectories,
    OWN_THREADS,
    ...granted.map(({ hostPath }) => hostPath),
  ];
  const write = granted.filter(({ readOnly }) => !readOnly).map(({ hostPath }) => hostPath);
  if (preopens.length > 0) read.push('/proc/self/fd');
  if (directories.some(({ readOnly }) => !readOnly)) write.push('/proc/self/fd');
  return nodePermissions(read, write);
}

/**
 * The same for a cell that is begun before its grants are known: it may read its code, and use what it is given
 * descriptors of.
 */
export function blankPermissions(program: CellProgram): NodePermissions {
  refuseWildcards(program.codeDirectories);
  const read = [...program.codeDirectories, OWN_THREADS, '/proc/self/fd'];
  return nodePermissions(read, ['/proc/self/fd']);
}

/** Whether nothing is granted that something in the cell opens by its name. */
export function goesByDescriptor({ pools, databases, paths }: CellGrants): boolean {
  return pools.length + databases.length + paths.length === 0;
}

function pathOf({ hostPath }: Pick<CellPath, 'hostPath'>): string {
  return hostPath;
}

/** Where a cell finds out which threads it has, to hold each of them. */
const OWN_THREADS = '/proc/self/task';

/** What a node program reads before and beside its own code, on Linux. */
const READ_BY_NODE: readonly string[] = ['/etc/ld.so.cache', '/etc/ssl/openssl.cnf'];

/**
 * The same for the kernel, which judges files and not names.
 *
 * A file that may be written, and that has others beside it which come and go, needs its directory: see
 * docs/confinement.md.
 */
export function cellRules(program: CellProgram, grants: CellGrants): PathRule[] {
  const rules: PathRule[] = [
    { hostPath: program.node, use: 'start' },
    ...loadedLibraries().map((hostPath): PathRule => ({ hostPath, use: 'start' })),
    ...READ_BY_NODE.map((hostPath): PathRule => ({ hostPath, use: 'read' })),
    { hostPath: '/dev/null', use: 'write' },
  ];
  for (const hostPath of program.codeDirectories) {
    rules.push({ hostPath, use: 'read' });
    const description = nearestDescription(hostPath);
    if (description !== null) rules.push({ hostPath: description, use: 'read' });
  }
  for (const { hostPath, readOnly } of directoriesOf(grants)) {
    rules.push({ hostPath, use: readOnly ? 'read' : 'write' });
  }
  for (const { hostPath } of [...grants.pools, ...grants.databases]) {
    rules.push({ hostPath: dirname(hostPath), use: 'beside' });
  }
  for (const { hostPath, readOnly } of grants.paths) {
    rules.push({ hostPath, use: readOnly ? 'read' : 'write' });
    if (!readOnly && !existsSync(hostPath)) {
      rules.push({ hostPath: dirname(hostPath), use: 'beside' });
    }
  }
  return rules;
}

/** Files of code that this process has loaded: a cell is the same program. */
function loadedLibraries(): string[] {
  try {
    const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
    const paths = maps.flatMap((line) => / r-xp .* (\/.*)$/.exec(line)?.[1] ?? []);
    return [...new Set(paths)];
  } catch {
    return [];
  }
}

/** The `package.json` that tells Node what the files below `directory` are. */
function nearestDescription(directory: string): string | null {
  for (let at = directory; ; at = dirname(at)) {
    const path = join(at, 'package.json');
    if (existsSync(path)) return path;
    if (dirname(at) === at) return null;
  }
}
