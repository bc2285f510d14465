/** What rolling back refuses, by name, and what it costs. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OFLAGS } from '../../src/abi/flags.ts';
import type { FilePolicy } from '../../src/handle/file-policy.ts';
import type { CapturedResources, Grants, PreopenGrant } from '../../src/handle/grants.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  removeHost,
  restoredGuest,
  startGuest,
} from '../wasi/harness.ts';

const CREATE = { oflags: OFLAGS.CREAT };

let host: Host;
let guest: Guest;
let directory: string;

const as = (policy: FilePolicy): Partial<Grants> => ({
  keeping: { directory, carryBytesMax: 2 ** 20 },
  preopens: [{ hostPath: host.dir, guestPath: '/data', readOnly: false, policy }],
});
const onHost = (name: string) => join(host.dir, name);
const journals = () =>
  readdirSync(join(directory, 'undo')).filter((name) => name.endsWith('.undo'));
const journalBytes = () =>
  journals().reduce((sum, name) => sum + statSync(join(directory, 'undo', name)).size, 0);

beforeEach(() => {
  host = createHost();
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'stasis-keeping-')));
  guest = startGuest(host, as('rollback'));
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
  rmSync(directory, { recursive: true, force: true });
});

async function checkpoint(): Promise<CapturedResources> {
  const image = structuredClone(await guest.resources.quiesce());
  await guest.resources.resume('resumed');
  return image;
}

async function restore(image: CapturedResources, policy: FilePolicy = 'rollback') {
  guest.resources.close();
  try {
    guest = await restoredGuest(host, image, as(policy));
    return 'restored';
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint?: string };
    return `${code} ${message} ${hint ?? ''}`;
  }
}

const fill = (name: string, text: string) => {
  const fd = guest.open(name, CREATE);
  guest.write(fd, text);
  guest.calls['fd_close']!(fd);
};

describe('what is written down', () => {
  test('is nothing before the first checkpoint, and little for what is appended', async () => {
    fill('a', 'x'.repeat(30_000));
    expect(existsSync(join(directory, 'undo'))).toBe(false);
    const fd = guest.open('a', { flags: 1 });
    await checkpoint();
    for (let n = 0; n < 100; n++) guest.write(fd, 'y'.repeat(1000));
    expect(journalBytes()).toBeLessThan(400);
  });

  test('is each part of an old file once', async () => {
    fill('a', 'x'.repeat(30_000));
    const fd = guest.open('a');
    await checkpoint();
    for (let n = 0; n < 50; n++) {
      guest.calls['fd_seek']!(fd, 0n, 0, AT.result);
      guest.write(fd, 'z');
    }
    expect(journalBytes()).toBeGreaterThan(16_384);
    expect(journalBytes()).toBeLessThan(18_000);
  });

  test('needs no interval of its own when nothing changed', async () => {
    fill('a', 'abc');
    for (let n = 0; n < 5; n++) await checkpoint();
    expect(journals()).toHaveLength(1);
    fill('b', 'abc');
    await checkpoint();
    expect(journals()).toHaveLength(2);
  });

  test('is nothing for what is made and removed in between', async () => {
    await checkpoint();
    fill('temporary', 'x'.repeat(50_000));
    guest.onPath('path_unlink_file', 'temporary');
    expect(journalBytes()).toBeLessThan(1000);
    expect(existsSync(join(directory, 'undo', '0.kept'))).toBe(false);
  });

  test('hides the name that keeps a removed file', async () => {
    fill('a', 'abc');
    const fd = guest.open('a');
    await checkpoint();
    guest.onPath('path_unlink_file', 'a');
    guest.calls['fd_filestat_get']!(fd, AT.result);
    expect(guest.u64(AT.result + 24)).toBe(0n);
    // It is carried, and writing to it later does not change what the earlier checkpoint had.
    const first = await checkpoint();
    guest.write(fd, 'DEF');
    const second = await checkpoint();
    expect(await restore(second)).toBe('restored');
    guest.calls['fd_seek']!(fd, 0n, 0, AT.result);
    expect(guest.read(fd, 9)).toBe('DEF');
    expect(await restore(first)).toBe('restored');
    expect(guest.read(fd, 9)).toBe('abc');
  });

  test('an earlier checkpoint has the contents that a removed file had then', async () => {
    fill('a', 'abc');
    const fd = guest.open('a');
    const image = await checkpoint();
    guest.onPath('path_unlink_file', 'a');
    await checkpoint();
    guest.write(fd, 'DEF');
    expect(await restore(image)).toBe('restored');
    expect(readFileSync(onHost('a'), 'utf8')).toBe('abc');
    expect(guest.read(fd, 9)).toBe('abc');
  });
});

describe('a change that others undid, or made impossible to undo, is refused by name', () => {
  const others: Record<string, () => void> = {
    'replaced it': () => {
      writeFileSync(onHost('new'), 'new');
      renameSync(onHost('new'), onHost('a'));
    },
    'removed it': () => unlinkSync(onHost('a')),
    'put a link there': () => {
      renameSync(onHost('a'), onHost('b'));
      symlinkSync('b', onHost('a'));
    },
  };
  test.each(Object.keys(others))('when they %s', async (how) => {
    fill('a', 'abc');
    const fd = guest.open('a');
    guest.calls['fd_close']!(fd);
    const image = await checkpoint();
    fill('a', 'XYZ');
    others[how]!();
    const refused = await restore(image);
    expect(refused).toContain('ERR_RESOURCE_CHANGED');
    expect(refused).toContain('"/data/a"');
    // The way on that it names.
    expect(refused).toContain('::reopen');
    expect(await restore(image, 'reopen')).toBe('restored');
  });

  test('a directory that the guest made, when others use it', async () => {
    const image = await checkpoint();
    guest.onPath('path_create_directory', 'd');
    writeFileSync(onHost('d/theirs'), '');
    expect(await restore(image)).toContain('"/data/d"');
    expect(existsSync(onHost('d/theirs'))).toBe(true);
    unlinkSync(onHost('d/theirs'));
    expect(await restore(image)).toBe('restored');
    expect(existsSync(onHost('d'))).toBe(false);
  });

  test('a record that is damaged; one that is torn at the end does not count', async () => {
    fill('a', 'abc');
    const image = await checkpoint();
    fill('a', 'XYZ');
    fill('c', 'XYZ');
    guest.resources.close();
    const journal = join(directory, 'undo', journals()[0]!);
    appendFileSync(journal, Buffer.from([200, 0, 0, 0, 1, 2, 3, 4, 5]));
    expect(await restore(image)).toBe('restored');
    expect(readFileSync(onHost('a'), 'utf8')).toBe('abc');
    fill('a', 'XYZ');
    fill('c', 'XYZ');
    guest.resources.close();
    const bytes = readFileSync(journal);
    bytes[12] = bytes[12]! ^ 1;
    writeFileSync(journal, bytes);
    expect(await restore(image)).toContain('damaged');
  });
});

describe('which checkpoint can be gone back to', () => {
  test('any earlier one, and then none that was made after it', async () => {
    const images: CapturedResources[] = [];
    for (let n = 0; n < 4; n++) {
      images.push(await checkpoint());
      fill('a', `${n}`);
      fill(`file-${n}`, 'x');
    }
    expect(await restore(images[3]!)).toBe('restored');
    expect(readFileSync(onHost('a'), 'utf8')).toBe('2');
    expect(await restore(images[1]!)).toBe('restored');
    expect(readdirSync(host.dir).sort()).toEqual(['a', 'file-0']);
    for (const late of [2, 3]) {
      const refused = await restore(images[late]!);
      expect(refused).toContain('ERR_RESOURCE_CHANGED');
      expect(refused).toContain('earlier one');
    }
    // Once more, after the refusals.
    expect(await restore(images[1]!)).toBe('restored');
    expect(await restore(images[0]!)).toBe('restored');
    expect(readdirSync(host.dir)).toEqual([]);
  });

  test('none, once the job went on without being rolled back', async () => {
    const image = await checkpoint();
    fill('a', 'abc');
    expect(await restore(image, 'reopen')).toBe('restored');
    expect(existsSync(onHost('a'))).toBe(true);
    expect(await restore(image)).toContain('ERR_RESOURCE_CHANGED');
  });

  test('one that was made without it is not', async () => {
    guest.resources.close();
    guest = startGuest(host, as('reopen'));
    const image = await checkpoint();
    const refused = await restore(image, 'rollback');
    expect(refused).toContain('ERR_RESOURCE_NOT_GRANTED');
    expect(refused).toContain('as reopen, and it is granted as rollback');
  });
});

test('between a directory that is rolled back and one that is not, names do not move', () => {
  guest.resources.close();
  mkdirSync(onHost('in'));
  mkdirSync(onHost('out'));
  const preopens: PreopenGrant[] = [
    { hostPath: onHost('in'), guestPath: '/in', readOnly: false, policy: 'rollback' },
    { hostPath: onHost('out'), guestPath: '/out', readOnly: false },
  ];
  guest = startGuest(host, { ...as('rollback'), preopens });
  guest.open('a', CREATE);
  const length = guest.put(AT.path, 'a');
  const length2 = guest.put(AT.path2, 'b');
  expect(guest.calls['path_rename']!(3, AT.path, length, 4, AT.path2, length2)).toBe(75);
  expect(guest.calls['path_link']!(3, 0, AT.path, length, 4, AT.path2, length2)).toBe(75);
});

test('records that lie can reach nothing that the guest could not', async () => {
  const secret = `${host.dir}-secret`;
  writeFileSync(secret, 'secret');
  fill('a', 'abc');
  const image = await checkpoint();
  fill('a', 'XYZ');
  guest.resources.close();
  // What an enemy in the cell would write: another path for the same file.
  const { UndoJournal } = await import('../../src/handle/undo-journal.ts');
  const journal = new UndoJournal(join(directory, 'undo', journals()[0]!));
  const { dev, ino, birthtimeNs } = statSync(secret, { bigint: true });
  const identity = { dev, ino, birthtimeNs };
  for (const path of [`../${secret.split('/').at(-1)}`, secret, 'link']) {
    symlinkSync(secret, onHost('link'));
    const where = { dir: '/data', path, kept: null, identity };
    journal.append([{ change: 'bytes', where, start: 0, bytes: Buffer.from('evil') }]);
    expect(await restore(image)).toContain('ERR_');
    expect(readFileSync(secret, 'utf8')).toBe('secret');
    truncateSync(join(directory, 'undo', journals()[0]!), 0);
    unlinkSync(onHost('link'));
  }
  journal.close();
  rmSync(secret);
});
