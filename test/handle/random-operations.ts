/** Random operations of a guest on a small tree of names, and what the tree is then. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { FDFLAGS, FSTFLAGS, OFLAGS } from '../../src/abi/flags.ts';
import type { Chance } from '../e2e/random-source.ts';
import { AT, type Guest } from '../wasi/harness.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'a/x', 'b/y', 'c/z', 'a/x/deep', 'd/x', 'b/y/deep'];
const FIRST_FD = 4;
const HELD_MAX = 12;

export type Counts = Record<string, number>;

/** Does one operation; counts it in `done` when it succeeded. Gives what it did and how that ended. */
export function operate(guest: Guest, chance: Chance, done: Counts): string {
  const pick = () => NAMES[chance.below(NAMES.length)]!;
  const twoPaths = (): [number, number] => [
    guest.put(AT.path, pick()),
    guest.put(AT.path2, pick()),
  ];
  const held = guest.resources.handles.entries().filter(([fd]) => fd >= FIRST_FD);
  const heldFd = () => held[chance.below(held.length)]?.[0] ?? FIRST_FD;
  const text = () => String.fromCharCode(97 + chance.below(26)).repeat(1 + chance.below(40_000));
  const { calls } = guest;
  const operations: Record<string, () => number> = {
    open: () => {
      const flags = [0, OFLAGS.CREAT, OFLAGS.CREAT | OFLAGS.EXCL, OFLAGS.CREAT | OFLAGS.TRUNC];
      const oflags = [...flags, OFLAGS.TRUNC][chance.below(5)]!;
      const append = chance.below(4) === 0 ? FDFLAGS.APPEND : 0;
      if (held.length >= HELD_MAX) return calls['fd_close']!(heldFd());
      const fd = guest.open(pick(), { oflags, flags: append, follow: chance.below(2) === 0 });
      return fd < 0 ? -fd : 0;
    },
    openDirectory: () => {
      if (held.length >= HELD_MAX) return calls['fd_close']!(heldFd());
      const fd = guest.open(pick(), { oflags: OFLAGS.DIRECTORY });
      return fd < 0 ? -fd : 0;
    },
    close: () => calls['fd_close']!(heldFd()),
    seek: () => calls['fd_seek']!(heldFd(), BigInt(chance.below(100_000)), 0, AT.result),
    write: () => {
      const written = guest.write(heldFd(), text());
      return written < 0 ? -written : 0;
    },
    pwrite: () => {
      const length = guest.put(AT.data, text());
      guest.memory.view.setUint32(AT.iovecs, AT.data, true);
      guest.memory.view.setUint32(AT.iovecs + 4, length, true);
      const offset = BigInt(chance.below(100_000));
      return calls['fd_pwrite']!(heldFd(), AT.iovecs, 1, offset, AT.result);
    },
    resize: () => calls['fd_filestat_set_size']!(heldFd(), BigInt(chance.below(80_000))),
    allocate: () => calls['fd_allocate']!(heldFd(), BigInt(chance.below(50_000)), 1000n),
    times: () =>
      calls['fd_filestat_set_times']!(heldFd(), 5n, BigInt(chance.below(1e9)), FSTFLAGS.MTIM),
    timesByPath: () => {
      const length = guest.put(AT.path, pick());
      const mtime = BigInt(chance.below(1e9));
      return calls['path_filestat_set_times']!(3, 0, AT.path, length, 5n, mtime, FSTFLAGS.MTIM);
    },
    makeDirectory: () => guest.onPath('path_create_directory', pick()),
    removeDirectory: () => guest.onPath('path_remove_directory', pick()),
    unlink: () => guest.onPath('path_unlink_file', pick()),
    rename: () => {
      const [length, length2] = twoPaths();
      return calls['path_rename']!(3, AT.path, length, 3, AT.path2, length2);
    },
    link: () => {
      const [length, length2] = twoPaths();
      return calls['path_link']!(3, 0, AT.path, length, 3, AT.path2, length2);
    },
    symlink: () => {
      const [length, length2] = twoPaths();
      return calls['path_symlink']!(AT.path, length, 3, AT.path2, length2);
    },
  };
  const kinds = Object.keys(operations);
  const kind = kinds[chance.below(kinds.length)]!;
  const errno = operations[kind]!();
  if (errno === 0) done[kind] = (done[kind] ?? 0) + 1;
  return `${kind} ${errno}`;
}

/** What a tree holds: by path, the type, contents or target, and the time of change; no inode. */
export function treeOf(directory: string): Record<string, string> {
  const tree: Record<string, string> = {};
  const look = (path: string, shown: string) => {
    const stats = lstatSync(path, { bigint: true });
    const { mtimeNs, mode } = stats;
    if (stats.isDirectory()) {
      tree[shown] = `directory ${mode} ${mtimeNs}`;
      for (const name of readdirSync(path)) look(join(path, name), `${shown}/${name}`);
    } else if (stats.isSymbolicLink()) {
      tree[shown] = `link ${readlinkSync(path)} ${mtimeNs}`;
    } else {
      tree[shown] = `file ${mode} ${mtimeNs} ${stats.nlink} ${digest(readFileSync(path))}`;
    }
  };
  look(directory, '.');
  return tree;
}

/** Long contents by runs of equal bytes, so that a difference can be read. */
function digest(bytes: Uint8Array): string {
  const runs: string[] = [];
  let start = 0;
  for (let at = 1; at <= bytes.length; at++) {
    if (at < bytes.length && bytes[at] === bytes[start]) continue;
    runs.push(`${bytes[start]}x${at - start}`);
    start = at;
  }
  return runs.join(' ');
}

/** Runs `jobs` jobs, each from a seed of its own; one that fails is named by it. */
export async function eachSeed(
  first: number,
  jobs: number,
  run: (seed: number) => Promise<void>,
): Promise<void> {
  for (let job = 0; job < jobs; job++) {
    const seed = first * 100_003 + job;
    try {
      await run(seed);
    } catch (cause) {
      throw new Error(`seed ${seed}: ${(cause as Error).message}`, { cause });
    }
  }
}
