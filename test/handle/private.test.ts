/**
 * Private views: a guest sees what it would see in a directory of its own, the granted one stays as it is, and
 * both hold through checkpoints and restores.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FILETYPE, OFLAGS } from '../../src/abi/flags.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import type { CapturedResources, Grants } from '../../src/handle/grants.ts';
import { type Chance, chanceOf } from '../e2e/random-source.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  readdir,
  removeHost,
  restoredGuest,
  startGuest,
} from '../wasi/harness.ts';
import { type Counts, eachSeed, operate, treeOf } from './random-operations.ts';
import { throughImage } from './through-image.ts';

const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const JOBS = process.env['STASIS_NIGHTLY'] === undefined ? 30 : 2000;
const done: Counts = {};
const totals = { jobs: 0, compared: 0, restores: 0 };

/** All that a guest can find below a directory, as it sees it. */
function seenTree(guest: Guest, path = '.'): Record<string, string> {
  const tree: Record<string, string> = {};
  const fd = guest.open(path, { oflags: OFLAGS.DIRECTORY });
  const { entries } = readdir(guest, fd, 0n, 100_000);
  guest.calls['fd_close']!(fd);
  for (const { name, type } of entries) {
    if (name === '.' || name === '..') continue;
    const below = path === '.' ? name : `${path}/${name}`;
    const length = guest.put(AT.path, below);
    guest.calls['path_filestat_get']!(3, 0, AT.path, length, AT.result);
    const size = guest.u64(AT.result + 32);
    if (type === FILETYPE.DIRECTORY)
      Object.assign(tree, { [below]: 'directory' }, seenTree(guest, below));
    else if (type === FILETYPE.SYMBOLIC_LINK) {
      guest.put(AT.path, below);
      guest.calls['path_readlink']!(3, AT.path, length, AT.data, 1000, AT.result);
      tree[below] = `link ${guest.text(AT.data, guest.u32())}`;
    } else {
      const file = guest.open(below, { rights: RIGHT.FD_READ });
      tree[below] = `file ${size} ${guest.read(file, 200_000)}`;
      guest.calls['fd_close']!(file);
    }
  }
  return tree;
}

/** Fills a directory at random. */
function fill(directory: string, chance: Chance): void {
  for (const name of ['a', 'b', 'c', 'd', 'a/x', 'b/y', 'c/z', 'd/x', 'b/y/deep']) {
    try {
      const kind = chance.below(4);
      if (kind === 0) mkdirSync(join(directory, name));
      if (kind === 1) writeFileSync(join(directory, name), name.repeat(chance.below(9000)));
      if (kind === 2) symlinkSync(['a', 'b/y', 'nowhere'][chance.below(3)]!, join(directory, name));
    } catch {
      // What would hold it is no directory.
    }
  }
}

async function runJob(seed: number): Promise<void> {
  const chance = chanceOf(seed);
  const host = createHost();
  const own = createHost();
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'stasis-keeping-')));
  const overrides: Partial<Grants> = {
    keeping: { directory, carryBytesMax: 2 ** 24 },
    preopens: [{ hostPath: host.dir, guestPath: '/data', readOnly: false, policy: 'private' }],
  };
  fill(host.dir, chance);
  cpSync(host.dir, own.dir, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  const before = treeOf(host.dir);
  // The same operations, with the same chances, in a directory of its own.
  const reference = startGuest(own, { keeping: { directory, carryBytesMax: 2 ** 24 } });
  let guest = startGuest(host, overrides);
  const otherChance = chanceOf(seed ^ 0x5555);
  const sameChance = chanceOf(seed ^ 0x5555);
  try {
    for (let round = 0; round < 6; round++) {
      for (let n = chance.below(60); n > 0; n--) {
        const here = operate(guest, otherChance, done);
        expect([round, n, here]).toEqual([round, n, operate(reference, sameChance, {})]);
      }
      expect(seenTree(guest)).toEqual(seenTree(reference));
      totals.compared++;
      let image: CapturedResources;
      try {
        image = throughImage(await guest.resources.quiesce());
      } catch (error) {
        // A directory that is open and gone.
        expect((error as { code: string }).code).toBe('ERR_NOT_CAPTURABLE');
        for (const [fd, handle] of guest.resources.handles.entries()) {
          if (handle.kind !== 'directory' || fd === 3) continue;
          guest.calls['fd_close']!(fd);
          reference.calls['fd_close']!(fd);
        }
        continue;
      }
      if (chance.below(2) === 0) await guest.resources.resume('resumed');
      else {
        guest.resources.close();
        expect(readdirSync(directory)).toEqual([]);
        guest = await restoredGuest(host, image, overrides);
        totals.restores++;
      }
      expect(seenTree(guest)).toEqual(seenTree(reference));
    }
    expect(treeOf(host.dir)).toEqual(before);
  } finally {
    guest.resources.close();
    reference.resources.close();
    removeHost(host);
    removeHost(own);
    rmSync(directory, { recursive: true, force: true });
  }
  totals.jobs++;
}

test(`${JOBS} guests see in a view what they would see in a directory of their own`, async () => {
  await eachSeed(SEED, JOBS, runJob);
  expect(totals.restores).toBeGreaterThan(JOBS);
  expect(Object.keys(done).length).toBe(16);
}, 1_200_000);

afterAll(() => {
  process.stdout.write(`private: ${JSON.stringify({ ...totals, ...done })}, seed ${SEED}\n`);
});

describe('a private view', () => {
  let host: Host;
  let guest: Guest;
  let overrides: Partial<Grants>;
  const onHost = (name: string) => join(host.dir, name);
  const elsewhere = async () => {
    const image = throughImage(await guest.resources.quiesce());
    guest.resources.close();
    guest = await restoredGuest(host, image, overrides);
  };
  const inoOf = (path: string) => {
    guest.calls['path_filestat_get']!(3, 0, AT.path, guest.put(AT.path, path), AT.result);
    return guest.u64(AT.result + 8);
  };

  beforeEach(() => {
    host = createHost();
    const directory = realpathSync(mkdtempSync(join(tmpdir(), 'stasis-keeping-')));
    overrides = {
      keeping: { directory, carryBytesMax: 100_000 },
      preopens: [{ hostPath: host.dir, guestPath: '/data', readOnly: false, policy: 'private' }],
    };
    writeFileSync(onHost('a'), 'from the host');
    mkdirSync(onHost('d'));
    writeFileSync(onHost('d/x'), 'x');
    guest = startGuest(host, overrides);
  });

  afterEach(() => {
    guest.resources.close();
    removeHost(host);
    rmSync(overrides.keeping!.directory, { recursive: true, force: true });
  });

  test('shows what is written to whoever has the file open already', () => {
    const reader = guest.open('a', { rights: RIGHT.FD_READ });
    expect(guest.read(reader, 5)).toBe('from ');
    const writer = guest.open('a');
    guest.write(writer, 'FROM THE GUEST');
    expect(guest.read(reader, 100)).toBe('THE GUEST');
    expect(readFileSync(onHost('a'), 'utf8')).toBe('from the host');
  });

  test('keeps the inode numbers that the guest was told', async () => {
    guest.open('new', { oflags: OFLAGS.CREAT });
    const told = ['a', 'd', 'd/x', 'new'].map(inoOf);
    expect(new Set(told).size).toBe(4);
    guest.write(guest.open('a'), 'changed');
    expect(inoOf('a')).toBe(told[0]);
    await elsewhere();
    expect(['a', 'd', 'd/x', 'new'].map(inoOf)).toEqual(told);
    await elsewhere();
    expect(['a', 'd', 'd/x', 'new'].map(inoOf)).toEqual(told);
    const listed = readdir(guest, 3, 0n).entries.find(({ name }) => name === 'a');
    expect(listed?.ino).toBe(told[0]);
  });

  test('setting times changes nothing on the host', () => {
    const reader = guest.open('a', { rights: RIGHT.FD_READ | RIGHT.FD_FILESTAT_SET_TIMES });
    const before = treeOf(host.dir);
    expect(guest.calls['fd_filestat_set_times']!(reader, 1n, 2n, 5)).toBe(0);
    const length = guest.put(AT.path, 'd/x');
    expect(guest.calls['path_filestat_set_times']!(3, 0, AT.path, length, 1n, 2n, 5)).toBe(0);
    expect(guest.calls['fd_filestat_set_times']!(3, 1n, 2n, 5)).toBe(0);
    expect(treeOf(host.dir)).toEqual(before);
    guest.calls['fd_filestat_get']!(reader, AT.result);
    expect(guest.u64(AT.result + 48)).toBe(2n);
  });

  test('a directory that looks empty above and is not below is not removed', () => {
    expect(guest.onPath('path_remove_directory', 'd')).toBe(55);
    expect(guest.onPath('path_unlink_file', 'd/x')).toBe(0);
    expect(guest.onPath('path_remove_directory', 'd')).toBe(0);
    expect(guest.onPath('path_create_directory', 'd')).toBe(0);
    // What was below the one that was removed is not below the new one.
    expect(readdir(guest, guest.open('d', { oflags: OFLAGS.DIRECTORY }), 0n).entries).toHaveLength(
      2,
    );
    expect(readdirSync(onHost('d'))).toEqual(['x']);
  });

  test('a moved directory takes along what was never looked at', async () => {
    const [length, length2] = [guest.put(AT.path, 'd'), guest.put(AT.path2, 'e')];
    expect(guest.calls['path_rename']!(3, AT.path, length, 3, AT.path2, length2)).toBe(0);
    await elsewhere();
    expect(guest.read(guest.open('e/x', { rights: RIGHT.FD_READ }), 9)).toBe('x');
    expect(guest.open('d/x')).toBe(-44);
  });

  test('deleted files that are open come along, whether they were changed or not', async () => {
    const reader = guest.open('a', { rights: RIGHT.FD_READ });
    const writer = guest.open('d/x');
    guest.write(writer, 'yz');
    guest.onPath('path_unlink_file', 'a');
    guest.onPath('path_unlink_file', 'd/x');
    await elsewhere();
    await elsewhere();
    expect(guest.read(reader, 100)).toBe('from the host');
    guest.calls['fd_seek']!(writer, 0n, 0, AT.result);
    expect(guest.read(writer, 9)).toBe('yz');
  });

  test('sees what the host does to names that the guest did not change', () => {
    writeFileSync(onHost('late'), 'late');
    expect(guest.read(guest.open('late', { rights: RIGHT.FD_READ }), 9)).toBe('late');
    unlinkSync(onHost('a'));
    expect(guest.open('a', { rights: RIGHT.FD_READ })).toBe(-44);
  });

  test('a file of the host that is open has to be the same at a restore', async () => {
    guest.open('a', { rights: RIGHT.FD_READ });
    const image = throughImage(await guest.resources.quiesce());
    guest.resources.close();
    unlinkSync(onHost('a'));
    writeFileSync(onHost('a'), 'another, as long or longer');
    await expect(restoredGuest(host, image, overrides)).rejects.toThrow(/"\/data\/a".*replaced/);
  });

  test('more than may be carried is refused by name, and the guest goes on', async () => {
    const fd = guest.open('big', { oflags: OFLAGS.CREAT });
    for (let n = 0; n < 3; n++) guest.write(fd, 'x'.repeat(40_000));
    await expect(guest.resources.quiesce()).rejects.toMatchObject({
      code: 'ERR_NOT_CAPTURABLE',
      message: expect.stringMatching(/"\/data".*100000 bytes.*--carry-max/),
    });
    expect(guest.write(fd, 'on')).toBe(2);
    guest.calls['fd_filestat_set_size']!(fd, 10n);
    await elsewhere();
    expect(guest.write(fd, 'on')).toBe(2);
  });

  test('stays private, or is refused', async () => {
    const image = throughImage(await guest.resources.quiesce());
    guest.resources.close();
    for (const policy of ['reopen', 'rollback', 'refuse'] as const) {
      const preopens = [{ ...overrides.preopens![0]!, policy }];
      await expect(restoredGuest(host, image, { ...overrides, preopens })).rejects.toMatchObject({
        code: 'ERR_RESOURCE_NOT_GRANTED',
        message: expect.stringContaining('as private'),
      });
    }
  });

  test('does not move names to other directories', () => {
    guest.resources.close();
    mkdirSync(onHost('other'));
    const preopens = [
      overrides.preopens![0]!,
      { hostPath: onHost('other'), guestPath: '/other', readOnly: false },
    ];
    guest = startGuest(host, { ...overrides, preopens });
    const [length, length2] = [guest.put(AT.path, 'a'), guest.put(AT.path2, 'b')];
    expect(guest.calls['path_rename']!(3, AT.path, length, 4, AT.path2, length2)).toBe(75);
    expect(guest.calls['path_link']!(3, 0, AT.path, length, 4, AT.path2, length2)).toBe(75);
  });

  test('is not led out by a racing swapper below it', () => {
    const outside = `${host.dir}-outside`;
    mkdirSync(outside);
    writeFileSync(join(outside, 'x'), 'secret');
    symlinkSync(`../${outside.split('/').at(-1)}`, onHost('evil'));
    const script = `const { renameSync } = require('node:fs');
      const end = Date.now() + 1500;
      while (Date.now() < end) {
        renameSync('d', 'old'); renameSync('evil', 'd');
        renameSync('d', 'evil'); renameSync('old', 'd');
      }`;
    const done = join(overrides.keeping!.directory, 'done');
    const shell = '("$0" -e "$1"; echo > "$2") >/dev/null 2>&1 &';
    execFileSync('sh', ['-c', shell, process.execPath, script, done], { cwd: host.dir });
    const seen = new Set<string | number>();
    while (!existsSync(done)) {
      // A new view each time: what was looked at once stays what it was.
      guest.resources.close();
      guest = startGuest(host, overrides);
      const listed = guest.open('d', { oflags: OFLAGS.DIRECTORY });
      if (listed > 0) readdir(guest, listed, 0n);
      const fd = guest.open('d/x', { rights: RIGHT.FD_READ });
      seen.add(fd < 0 ? fd : guest.read(fd, 100));
      const writer = guest.open('d/x');
      if (writer > 0) guest.write(writer, 'mine');
    }
    expect(readFileSync(join(outside, 'x'), 'utf8')).toBe('secret');
    rmSync(outside, { recursive: true });
    expect(seen).toContain('x');
    expect(seen).not.toContain('secret');
  });

  type View = { things: Record<string, unknown>[] };
  test.each<[string, (view: View) => void]>([
    [
      'an entry out of the directory',
      ({ things }) => void Object.assign(things[0]!, { entries: [['..', 1]] }),
    ],
    [
      'a name with a slash',
      ({ things }) => void Object.assign(things[0]!, { entries: [['x/y', 1]] }),
    ],
    [
      'a thing that is not there',
      ({ things }) => void Object.assign(things[0]!, { entries: [['x', 99]] }),
    ],
    [
      'a directory in itself',
      ({ things }) => void Object.assign(things[0]!, { entries: [['x', 0]] }),
    ],
    ['no directory at all', ({ things }) => void things.shift()],
  ])('that lies, with %s, is refused', async (_, change) => {
    guest.open('new', { oflags: OFLAGS.CREAT });
    const image = structuredClone(await guest.resources.quiesce());
    guest.resources.close();
    const files = image.providers.find(({ kind }) => kind === 'files')!;
    change((files.state as unknown as { views: View[] }).views[0]!);
    await expect(restoredGuest(host, image, overrides)).rejects.toMatchObject({
      code: 'ERR_MALFORMED_IMAGE',
    });
  });

  test('that lies about where its files come from shows nothing outside', async () => {
    const secret = `${host.dir}-secret`;
    writeFileSync(secret, 'secret');
    const name = secret.split('/').at(-1)!;
    symlinkSync(secret, onHost('link'));
    guest.open('a', { rights: RIGHT.FD_READ });
    const image = throughImage(await guest.resources.quiesce());
    guest.resources.close();
    for (const lower of [
      `../${name}`,
      secret,
      `/${secret}`,
      'link',
      'd/../../x',
      '',
      'd/.',
      'a\0',
    ]) {
      const changed = structuredClone(image);
      const files = changed.providers.find(({ kind }) => kind === 'files')!;
      const { views } = files.state as unknown as { views: View[] };
      const file = views[0]!.things.find(({ kind }) => kind === 'file')!;
      file['lower'] = lower;
      await expect(restoredGuest(host, changed, overrides)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_(RESOURCE_CHANGED|MALFORMED_IMAGE)$/),
      });
    }
    // A file that is not open is looked at only when its name is.
    const other = { ...structuredClone(image), handles: image.handles.slice(0, 4) };
    const { views } = other.providers.find(({ kind }) => kind === 'files')!.state as unknown as {
      views: View[];
    };
    views[0]!.things.find(({ kind }) => kind === 'file')!['lower'] = 'link';
    guest = await restoredGuest(host, other, overrides);
    expect(guest.open('a', { rights: RIGHT.FD_READ })).toBe(-32);
    rmSync(secret);
  });
});
