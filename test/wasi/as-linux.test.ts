/**
 * Calls on paths answer as Linux does for the same path, over every kind of thing, every way to write its
 * name, and every call: each case is made twice, through the guest's calls in one directory and by this
 * process in another of the same contents, and answers and contents are compared.
 */
import * as fs from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERRNO, errnoOf } from '../../src/abi/errno.ts';
import { OFLAGS } from '../../src/abi/flags.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import { AT, createHost, type Guest, type Host, removeHost, startGuest } from './harness.ts';

const NAME: ReadonlyMap<number, string> = new Map(
  Object.entries(ERRNO).map(([name, number]) => [number, name]),
);

function build(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(join(dir, 'full/inner'), { recursive: true });
  fs.mkdirSync(join(dir, 'empty'));
  fs.writeFileSync(join(dir, 'file'), 'contents');
  fs.writeFileSync(join(dir, 'full/leaf'), 'leaf');
  fs.symlinkSync('file', join(dir, 'to-file'));
  fs.symlinkSync('full', join(dir, 'to-full'));
  fs.symlinkSync('full/', join(dir, 'to-full-slash'));
  fs.symlinkSync('to-full', join(dir, 'to-link'));
  fs.symlinkSync('nothing', join(dir, 'dangling'));
  fs.symlinkSync('nothing/', join(dir, 'dangling-slash'));
  fs.symlinkSync('loop', join(dir, 'loop'));
  fs.symlinkSync('../full/leaf', join(dir, 'full/up'));
}

/** Names, kinds, links' targets, files' contents, and which names are one file. */
function contents(dir: string, below = ''): string[] {
  const lines: string[] = [];
  for (const name of fs.readdirSync(join(dir, below)).sort()) {
    const path = join(below, name);
    const stats = fs.lstatSync(join(dir, path));
    if (stats.isSymbolicLink()) {
      lines.push(`${path} -> ${fs.readlinkSync(join(dir, path))} ${stats.nlink}`);
    } else if (stats.isDirectory()) lines.push(`${path}/`, ...contents(dir, path));
    else lines.push(`${path} ${stats.nlink} ${fs.readFileSync(join(dir, path), 'utf8')}`);
  }
  return lines;
}

const THINGS = [
  ...['file', 'empty', 'full', 'full/leaf', 'full/inner', 'full/up', 'nothing', 'file/below'],
  ...['to-file', 'to-full', 'to-full-slash', 'to-link', 'dangling', 'dangling-slash', 'loop'],
];
const SPELLINGS = [
  ...['X', 'X/', 'X//', 'X/.', './X', 'X/leaf', 'X/new', 'X/new/', 'full/../X', 'X/inner/..'],
];
const PATHS = [
  ...THINGS.flatMap((thing) => SPELLINGS.map((spelling) => spelling.replace('X', thing))),
  ...['.', './', 'n'.repeat(255), 'n'.repeat(256), `full/${'n'.repeat(256)}/x`],
  `${'full/../'.repeat(500)}file`,
  `${'full/../'.repeat(600)}file`,
];

let host: Host;
let guest: Guest;
let twin: string;

beforeAll(() => {
  host = createHost();
  twin = mkdtempSync(join(tmpdir(), 'stasis-linux-'));
  build(host.dir);
  guest = startGuest(host);
});

afterAll(() => {
  guest.resources.close();
  removeHost(host);
  rmSync(twin, { recursive: true, force: true });
});

/** What the host says to the same; 0 or an errno. */
function native(work: () => unknown): number {
  try {
    work();
    return 0;
  } catch (error) {
    return errnoOf(error);
  }
}

interface Case {
  readonly title: string;
  readonly ours: () => number;
  readonly theirs: () => unknown;
  /** Where we mean to differ: ours, for theirs. */
  readonly but?: (theirs: number) => number | undefined;
}

const rebuild = () => {
  // The directory itself stays: the guest has it open.
  for (const name of fs.readdirSync(host.dir)) {
    rmSync(join(host.dir, name), { recursive: true, force: true });
  }
  const fresh = join(host.dir, 'fresh');
  build(fresh);
  for (const name of fs.readdirSync(fresh)) fs.renameSync(join(fresh, name), join(host.dir, name));
  fs.rmdirSync(fresh);
  build(twin);
};

function compare(cases: Iterable<Case>): void {
  let compared = 0;
  const differences: string[] = [];
  rebuild();
  let before = contents(twin).join('\n');
  for (const { title, ours, theirs, but } of cases) {
    const mine = ours();
    const expected = native(theirs);
    const meant = but?.(expected) ?? expected;
    compared += 1;
    if (mine !== meant) {
      differences.push(`${title}: ${NAME.get(mine)}, Linux ${NAME.get(expected)}`);
    }
    // What both refuse changes nothing; that this holds is looked at when something else is done.
    if (mine !== 0 && expected !== 0) continue;
    const after = contents(twin).join('\n');
    const here = contents(host.dir).join('\n');
    if (after !== here && mine === meant && meant === expected) {
      differences.push(`${title}: other contents, perhaps of a call before`);
    }
    if (after === before && here === before) continue;
    rebuild();
    before = contents(twin).join('\n');
  }
  console.log(`compared ${compared} cases`);
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThan(100);
}

/** A new name that ends in `/` where a file is: NOTDIR, which newer versions of Linux call EXIST. */
const fileWithSlash = (path: string) => (theirs: number) =>
  theirs === ERRNO.EXIST && /^(\.\/|full\/\.\.\/)?(file|full\/leaf)\/+$/.test(path)
    ? ERRNO.NOTDIR
    : undefined;

const at = (path: string) => `${twin}/${path}`;
const put = (path: string, to = AT.path) => [to, guest.put(to, path)] as const;

describe.runIf(process.platform === 'linux')('as Linux has it', () => {
  for (const [call, work] of [
    ['path_create_directory', (path: string) => fs.mkdirSync(path)],
    ['path_remove_directory', (path: string) => fs.rmdirSync(path)],
    ['path_unlink_file', (path: string) => fs.unlinkSync(path)],
  ] as const) {
    test(call, () => {
      compare(
        PATHS.map((path) => ({
          title: path,
          ours: () => guest.onPath(call, path),
          theirs: () => work(at(path)),
        })),
      );
    });
  }

  test('path_readlink', () => {
    compare(
      PATHS.map((path) => ({
        title: path,
        ours: () => guest.calls['path_readlink']!(3, ...put(path), AT.data, 100, AT.result),
        theirs: () => fs.readlinkSync(at(path)),
      })),
    );
  });

  test('path_filestat_get and path_filestat_set_times, following or not', () => {
    const cases: Case[] = [];
    for (const path of PATHS) {
      for (const follow of [0, 1]) {
        cases.push({
          title: `stat ${path} ${follow}`,
          ours: () => guest.calls['path_filestat_get']!(3, follow, ...put(path), AT.data),
          theirs: () => (follow ? fs.statSync(at(path)) : fs.lstatSync(at(path))),
        });
        cases.push({
          title: `times ${path} ${follow}`,
          ours: () =>
            guest.calls['path_filestat_set_times']!(3, follow, ...put(path), 10n ** 18n, 0n, 1),
          theirs: () => (follow ? fs.utimesSync : fs.lutimesSync)(at(path), 1e9, 1e9),
        });
      }
    }
    compare(cases);
  });

  test('path_open with all flags', () => {
    const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW } =
      fs.constants;
    const cases: Case[] = [];
    for (const path of PATHS) {
      for (let oflags = 0; oflags < 16; oflags++) {
        // Linux takes EXCL without CREAT for nothing, and DIRECTORY with others differently by version.
        if (oflags & OFLAGS.EXCL && !(oflags & OFLAGS.CREAT)) continue;
        if (oflags & OFLAGS.DIRECTORY && oflags !== OFLAGS.DIRECTORY) continue;
        for (const follow of [true, false]) {
          for (const [rights, access] of [
            [RIGHT.FD_READ, O_RDONLY],
            [RIGHT.FD_WRITE, O_WRONLY],
            [RIGHT.FD_READ | RIGHT.FD_WRITE, O_RDWR],
          ] as const) {
            let flags: number = access;
            if (oflags & OFLAGS.CREAT) flags |= O_CREAT;
            if (oflags & OFLAGS.EXCL) flags |= O_EXCL;
            if (oflags & OFLAGS.TRUNC) flags |= O_TRUNC;
            if (oflags & OFLAGS.DIRECTORY) flags |= O_DIRECTORY;
            if (!follow) flags |= O_NOFOLLOW;
            cases.push({
              title: `${path} oflags ${oflags} access ${access} ${follow ? '' : 'no'}follow`,
              ours: () => {
                const fd = guest.open(path, { oflags, rights, follow });
                if (fd >= 0) guest.calls['fd_close']!(fd);
                return fd < 0 ? -fd : 0;
              },
              theirs: () => fs.closeSync(fs.openSync(at(path), flags)),
            });
          }
        }
      }
    }
    compare(cases);
  });

  test('path_symlink', () => {
    compare(
      PATHS.map((path) => ({
        title: path,
        ours: () =>
          guest.calls['path_symlink']!(...put('some/../where', AT.path2), 3, ...put(path)),
        theirs: () => fs.symlinkSync('some/../where', at(path)),
        but: fileWithSlash(path),
      })),
    );
  });

  const PAIRS: (readonly [string, string])[] = [];
  for (const from of THINGS) {
    for (const to of THINGS) {
      for (const [left, right] of [
        ['', ''],
        ['/', ''],
        ['', '/'],
        ['/', '/'],
        ['/.', ''],
        ['', '/leaf'],
        ['', '/new'],
      ] as const) {
        PAIRS.push([from + left, to + right]);
      }
    }
  }

  test('path_rename', () => {
    compare(
      PAIRS.map(([from, to]) => ({
        title: `${from} to ${to}`,
        ours: () => guest.calls['path_rename']!(3, ...put(from), 3, ...put(to, AT.path2)),
        theirs: () => fs.renameSync(at(from), at(to)),
      })),
    );
  });

  test('path_link', () => {
    compare(
      PAIRS.map(([from, to]) => ({
        title: `${from} to ${to}`,
        ours: () => guest.calls['path_link']!(3, 0, ...put(from), 3, ...put(to, AT.path2)),
        theirs: () => fs.linkSync(at(from), at(to)),
        but: fileWithSlash(to),
      })),
    );
  });
});
