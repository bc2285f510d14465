import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FDFLAGS, OFLAGS } from '../../src/abi/flags.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import type { CborValue } from '../../src/cbor/cbor.ts';
import type { Grants } from '../../src/handle/grants.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  readdir,
  removeHost,
  restartGuest,
  restoredGuest,
  startGuest,
} from '../wasi/harness.ts';
import { throughImage } from './through-image.ts';

let host: Host;
let guest: Guest;
const onHost = (name: string) => join(host.dir, name);

beforeEach(() => {
  host = createHost();
  guest = startGuest(host);
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
});

const CREATE = { oflags: OFLAGS.CREAT };
const DIRECTORY = { oflags: OFLAGS.DIRECTORY };

/** As it comes out of an image's head. */
async function failureOf(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await work;
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  }
  throw new Error('nothing was refused');
}

describe('a guest that goes on elsewhere', () => {
  test('offsets, flags, rights and numbers are as before', async () => {
    const a = guest.open('a', CREATE);
    const log = guest.open('log', { ...CREATE, flags: FDFLAGS.APPEND });
    const reader = guest.open('a', { rights: RIGHT.FD_READ });
    guest.write(a, 'hello world');
    guest.write(log, 'one,');
    guest.read(reader, 6);
    guest.calls['fd_renumber']!(log, 3);
    const captured = throughImage(await guest.resources.quiesce());
    guest.resources.close();
    appendFileSync(onHost('a'), ' and more');
    guest = await restoredGuest(host, captured);
    expect(guest.read(reader, 100)).toBe('world and more');
    expect(guest.write(a, '!')).toBe(1);
    expect(guest.write(3, 'two')).toBe(3);
    expect(guest.write(reader, 'x')).toBeLessThan(0);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('hello world!and more');
    expect(readFileSync(onHost('log'), 'utf8')).toBe('one,two');
    // 5 became free, and 3 is no directory any more.
    expect(guest.calls['fd_prestat_get']!(3, AT.result)).not.toBe(0);
  });

  test('nothing that opening did once is done again', async () => {
    const fd = guest.open('a', { oflags: OFLAGS.CREAT | OFLAGS.EXCL | OFLAGS.TRUNC });
    guest.write(fd, 'kept');
    guest = await restartGuest(host, guest);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('kept');
    expect(guest.write(fd, '!')).toBe(1);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('kept!');
  });

  test('an offset beyond the end stays there', async () => {
    const fd = guest.open('a', CREATE);
    guest.calls['fd_seek']!(fd, 100n, 0, AT.result);
    guest = await restartGuest(host, guest);
    guest.calls['fd_tell']!(fd, AT.result);
    expect(guest.u64()).toBe(100n);
  });

  test('files and directories that the guest renamed are found again', async () => {
    mkdirSync(onHost('dir'));
    const fd = guest.open('dir/a', CREATE);
    const dir = guest.open('dir', DIRECTORY);
    guest.write(fd, 'abc');
    renameSync(onHost('dir/a'), onHost('dir/b'));
    renameSync(onHost('dir'), onHost('moved'));
    guest = await restartGuest(host, guest);
    expect(guest.write(fd, 'd')).toBe(1);
    expect(readFileSync(onHost('moved/b'), 'utf8')).toBe('abcd');
    expect(guest.open('new', { fd: dir, ...CREATE })).toBeGreaterThan(0);
    expect(existsSync(onHost('moved/new'))).toBe(true);
  });

  test('cookies go on where the listing was, whatever happened to the directory', async () => {
    for (let n = 0; n < 30; n++) writeFileSync(onHost(`f${n}`), '');
    const all = readdir(guest, 3, 0n, 8192).entries.map((entry) => entry.name);
    const first = readdir(guest, 3, 0n, 300);
    const rest = all.slice(first.entries.length);
    const captured = throughImage(await guest.resources.quiesce());
    guest.resources.close();
    unlinkSync(onHost(rest[3]!));
    writeFileSync(onHost('new'), '');
    guest = await restoredGuest(host, captured);
    const next = readdir(guest, 3, first.entries.at(-1)!.next, 8192).entries;
    expect(next.map((entry) => entry.name)).toEqual(rest.filter((name) => name !== rest[3]));
  });

  test('stdin that was taken and not read goes along; its end stays the end', async () => {
    host.stdin.push(Buffer.from('abcdef'));
    expect(guest.read(0, 2)).toBe('ab');
    guest = await restartGuest(host, guest);
    host.stdin.push(Buffer.from('next'));
    expect(guest.read(0, 10)).toBe('cdef');
    expect(guest.read(0, 10)).toBe('next');
    host.stdin.push('end');
    expect(guest.read(0, 10)).toBe('');
    guest = await restartGuest(host, guest);
    host.stdin.length = 0;
    host.stdin.push(Buffer.from('too late'));
    expect(guest.read(0, 10)).toBe('');
  });

  test('the monotonic clocks go on, the wall clock is today', async () => {
    host.clock.monotonicNs += 1_000n;
    host.clock.cpuNs += 30n;
    const captured = throughImage(await guest.resources.quiesce());
    guest.resources.close();
    Object.assign(host.clock, { monotonicNs: 5n, cpuNs: 0n, realtimeNs: 42n });
    guest = await restoredGuest(host, captured);
    expect(guest.resources.clock.monotonicNs()).toBe(1_000n);
    host.clock.monotonicNs += 7n;
    expect(guest.resources.clock.monotonicNs()).toBe(1_007n);
    expect(guest.resources.clock.cpuNs()).toBe(30n);
    expect(guest.resources.clock.realtimeNs()).toBe(42n);
  });

  test('the same resources resume, again and again, and hold nothing meanwhile', async () => {
    const fd = guest.open('a', CREATE);
    for (let round = 0; round < 5; round++) {
      expect(guest.write(fd, `${round}`)).toBe(1);
      await guest.resources.quiesce();
      const handle = guest.resources.handles.get(fd);
      expect(handle).toMatchObject({ kind: 'file', hostFd: -1, unsynced: false });
      await guest.resources.resume(round % 2 === 0 ? 'resumed' : 'aborted');
    }
    expect(readFileSync(onHost('a'), 'utf8')).toBe('01234');
  });

  test('a script captured between any two of its calls gives the same', async () => {
    const script: ((target: Guest) => unknown)[] = [
      (target) => target.onPath('path_create_directory', 'd'),
      (target) => target.open('d/x', CREATE),
      (target) => target.write(4, 'abcdefgh'),
      (target) => target.open('d', DIRECTORY),
      (target) => target.calls['fd_seek']!(4, -3n, 2, AT.result),
      (target) => target.read(4, 2),
      (target) => readdir(target, 5, 0n, 60).entries.length,
      (target) => target.calls['fd_fdstat_set_flags']!(4, FDFLAGS.APPEND),
      (target) => target.write(4, 'XY'),
      (target) => target.calls['fd_renumber']!(4, 5),
      (target) => target.open('d/y', CREATE),
      (target) => target.write(4, 'other'),
      (target) => target.onPath('path_unlink_file', 'd/nothing'),
      (target) => target.calls['fd_fdstat_set_rights']!(4, BigInt(RIGHT.FD_WRITE), 0n),
      (target) => target.calls['fd_seek']!(4, 0n, 0, AT.result),
      (target) => target.write(5, '!'),
      (target) => target.calls['fd_tell']!(5, AT.result) * 1000 + Number(target.u64()),
    ];
    const play = async (captureAt: number) => {
      const own = createHost();
      let player = startGuest(own);
      const results: unknown[] = [];
      for (const [index, step] of script.entries()) {
        if (index === captureAt) player = await restartGuest(own, player);
        results.push(step(player));
      }
      player.resources.close();
      const contents = ['d/x', 'd/y'].map((name) => readFileSync(join(own.dir, name), 'utf8'));
      removeHost(own);
      return { results, contents };
    };
    const whole = await play(-1);
    expect(whole.contents).toEqual(['abcdefghXY!', 'other']);
    for (let at = 0; at < script.length; at++) expect([at, await play(at)]).toEqual([at, whole]);
  });
});

describe('what can not be captured', () => {
  test.each(['deleted', 'moved out'])(
    'a file that was %s: named, and the guest goes on',
    async (how) => {
      const fd = guest.open('a\u202eb', CREATE);
      const other = guest.open('other', CREATE);
      guest.write(fd, 'abc');
      if (how === 'deleted') unlinkSync(onHost('a\u202eb'));
      else renameSync(onHost('a\u202eb'), `${host.dir}.out`);
      const { code, message } = await failureOf(guest.resources.quiesce());
      rmSync(`${host.dir}.out`, { force: true });
      expect(code).toBe('ERR_NOT_CAPTURABLE');
      expect(message).toContain('"/data/a\\u{202e}b"');
      expect(guest.write(fd, 'def')).toBe(3);
      expect(guest.write(other, 'x')).toBe(1);
      guest.calls['fd_close']!(fd);
      guest = await restartGuest(host, guest);
      expect(guest.write(other, 'y')).toBe(1);
    },
  );

  test('a directory that was deleted', async () => {
    mkdirSync(onHost('d'));
    guest.open('d', DIRECTORY);
    rmSync(onHost('d'), { recursive: true });
    mkdirSync(onHost('d'));
    expect((await failureOf(guest.resources.quiesce())).message).toContain('"/data/d"');
  });
});

describe('what has changed since', () => {
  const changes: Readonly<Record<string, (path: string) => void>> = {
    gone: (path) => unlinkSync(path),
    'made again': (path) => {
      unlinkSync(path);
      writeFileSync(path, '0123456789');
    },
    'renamed over': (path) => {
      writeFileSync(`${path}2`, '0123456789');
      renameSync(`${path}2`, path);
    },
    'cut below the offset': (path) => truncateSync(path, 1),
    'cut above the offset': (path) => truncateSync(path, 4),
    'a directory now': (path) => {
      unlinkSync(path);
      mkdirSync(path);
    },
    'a link to itself now': (path) => {
      renameSync(path, `${path}2`);
      symlinkSync('a2', path);
    },
  };

  test.each(Object.keys(changes))('a file that is %s is refused by name', async (how) => {
    const fd = guest.open('a', CREATE);
    guest.write(fd, '01234');
    guest.calls['fd_seek']!(fd, 3n, 0, AT.result);
    guest.open('b', CREATE);
    const captured = throughImage(await guest.resources.quiesce());
    changes[how]!(onHost('a'));
    const fresh = await failureOf(restoredGuest(host, captured));
    expect(fresh.code).toBe('ERR_RESOURCE_CHANGED');
    expect(fresh.message).toContain('"/data/a"');
    const same = await failureOf(guest.resources.resume('resumed'));
    expect(same).toEqual(fresh);
    expect(guest.resources.handles.entries()).toEqual([]);
  });

  test('a directory below the grant that was replaced is refused, the grant itself is not', async () => {
    mkdirSync(onHost('d'));
    guest.open('d', DIRECTORY);
    const captured = throughImage(await guest.resources.quiesce());
    renameSync(onHost('d'), onHost('e'));
    mkdirSync(onHost('d'));
    expect(await failureOf(restoredGuest(host, captured))).toMatchObject({
      code: 'ERR_RESOURCE_CHANGED',
      message: expect.stringContaining('"/data/d"'),
    });
  });

  test('a file that grew is fine', async () => {
    const fd = guest.open('a', CREATE);
    guest.write(fd, '01234');
    const captured = await guest.resources.quiesce();
    appendFileSync(onHost('a'), '56789');
    guest.resources.close();
    guest = await restoredGuest(host, captured);
    expect(guest.read(fd, 9)).toBe('56789');
  });
});

describe('what is granted today', () => {
  const refused = async (overrides: Partial<Grants>) => {
    guest.open('a', CREATE);
    const captured = throughImage(await guest.resources.quiesce());
    return failureOf(restoredGuest(host, captured, overrides));
  };

  test('a directory that is not granted is refused by name', async () => {
    expect(await refused({ preopens: [] })).toMatchObject({
      code: 'ERR_RESOURCE_NOT_GRANTED',
      message: expect.stringContaining('"/data"'),
    });
  });

  test('held for writing and granted read-only is refused by name', async () => {
    const preopens = [{ hostPath: host.dir, guestPath: '/data', readOnly: true }];
    expect(await refused({ preopens })).toMatchObject({
      code: 'ERR_RESOURCE_NOT_GRANTED',
      message: expect.stringMatching(/"\/data".*read-only/),
    });
  });

  test('fewer handles than are held is refused', async () => {
    expect(await refused({ handlesMax: 4 })).toMatchObject({ code: 'ERR_MALFORMED_IMAGE' });
  });

  test('a directory that is not there is named', () => {
    const preopens = [{ hostPath: onHost('none'), guestPath: '/n', readOnly: false }];
    expect(() => startGuest(host, { preopens })).toThrow(/no directory ".*none"/);
  });

  test('read-only stays read-only when more is granted later', async () => {
    writeFileSync(onHost('a'), 'abc');
    guest.resources.close();
    const preopens = [{ hostPath: host.dir, guestPath: '/data', readOnly: true }];
    guest = startGuest(host, { preopens });
    const fd = guest.open('a', { rights: RIGHT.FD_READ });
    guest = await restartGuest(host, guest);
    expect(guest.read(fd, 3)).toBe('abc');
    expect(guest.open('new', CREATE)).toBeLessThan(0);
    expect(existsSync(onHost('new'))).toBe(false);
  });
});

describe('an image that lies', () => {
  type Entry = { fd: number; kind: string; version: number; state: Record<string, CborValue> };

  /** Captures a guest with a file and a directory, changes the state, and restores it. */
  const tampered = async (change: (entries: Entry[]) => void) => {
    writeFileSync(`${host.dir}-secret`, 'secret');
    mkdirSync(onHost('d'), { recursive: true });
    const fd = guest.open('a', CREATE);
    guest.write(fd, 'abc');
    const directory = guest.open('d', DIRECTORY);
    readdir(guest, directory, 0n);
    const captured = structuredClone(await guest.resources.quiesce());
    guest.resources.close();
    change(captured.handles as unknown as Entry[]);
    try {
      guest = await restoredGuest(host, captured);
      return 'restored';
    } catch (error) {
      return (error as { code: string }).code;
    } finally {
      rmSync(`${host.dir}-secret`);
    }
  };
  const of = (entries: Entry[], kind: string) => entries.find((entry) => entry.kind === kind)!;
  const lastOf = (entries: Entry[], kind: string) =>
    entries.findLast((entry) => entry.kind === kind)!;

  test.each(['/etc/shadow', '../secret', 'd/../../x', '', '.', '..', 'a\0', 'x'.repeat(300), 'd'])(
    'a path of %j leads nowhere',
    async (path) => {
      const outcome = await tampered((entries) => {
        of(entries, 'file').state['path'] = path;
      });
      expect(outcome).toBe('ERR_RESOURCE_CHANGED');
    },
  );

  test.each(['..', '/', 'a', '../..', 'd/../../'])('a directory at %j is refused', async (path) => {
    const outcome = await tampered((entries) => {
      lastOf(entries, 'directory').state['path'] = path;
    });
    expect(outcome).toBe('ERR_RESOURCE_CHANGED');
  });

  test.each<[string, (entries: Entry[]) => void]>([
    ['kind', (entries) => void Object.assign(entries[0]!, { kind: 'socket' })],
    ['version', (entries) => void Object.assign(entries[0]!, { version: 2 })],
    ['number twice', (entries) => void Object.assign(entries[1]!, { fd: 0 })],
    ['number too high', (entries) => void Object.assign(entries[1]!, { fd: 5000 })],
    ['negative number', (entries) => void Object.assign(entries[1]!, { fd: -1 })],
    ['second stdout', (entries) => void Object.assign(entries[2]!.state, { stream: 'stdout' })],
    ['second stdin', (entries) => void entries.push({ ...entries[0]!, fd: 50 })],
    ['missing field', (entries) => void delete of(entries, 'file').state['ino']],
    ['further field', (entries) => void Object.assign(of(entries, 'file').state, { sudo: true })],
    ['offset', (entries) => void Object.assign(of(entries, 'file').state, { offsetBytes: -1 })],
    ['flags', (entries) => void Object.assign(of(entries, 'file').state, { flags: 32 })],
    ['rights', (entries) => void Object.assign(of(entries, 'file').state, { rights: 2 ** 31 })],
    ['path type', (entries) => void Object.assign(of(entries, 'file').state, { path: 5 })],
    [
      'listing with a slash',
      (entries) => {
        const names = Buffer.from('../x\0');
        lastOf(entries, 'directory').state['listing'] = { names, types: Uint8Array.of(4) };
      },
    ],
    [
      'listing with ..',
      (entries) => {
        const names = Buffer.from('..\0');
        lastOf(entries, 'directory').state['listing'] = { names, types: Uint8Array.of(4) };
      },
    ],
    [
      'listing that does not fit',
      (entries) => {
        const names = Buffer.from('x\0y');
        lastOf(entries, 'directory').state['listing'] = { names, types: Uint8Array.of(4, 4) };
      },
    ],
  ])('wrong %s is refused before anything is opened', async (_, change) => {
    expect(await tampered(change)).toBe('ERR_MALFORMED_IMAGE');
  });

  test('another inode, birth or device is another file', async () => {
    for (const field of ['ino', 'birthtimeNs', 'dev']) {
      const outcome = await tampered((entries) => {
        const { state } = of(entries, 'file');
        state[field] = (state[field] as bigint) + 1n;
      });
      expect([field, outcome]).toEqual([field, 'ERR_RESOURCE_CHANGED']);
      removeHost(host);
      host = createHost();
      guest = startGuest(host);
    }
  });

  test('wider rights than the handle is open for are not granted', async () => {
    const outcome = await tampered((entries) => {
      const { state } = of(entries, 'file');
      Object.assign(state, { writable: false, rights: 2 ** 30 - 1 });
      for (const entry of entries) if (entry.kind !== 'file') entry.state['rights'] = 2 ** 30 - 1;
    });
    expect(outcome).toBe('restored');
    expect(guest.write(4, 'x')).toBeLessThan(0);
    expect(guest.calls['fd_filestat_set_size']!(4, 0n)).not.toBe(0);
    expect(guest.write(0, 'x')).toBeLessThan(0);
    expect(guest.read(1, 1)).toBeLessThan(0);
    expect(readFileSync(onHost('a'), 'utf8')).toBe('abc');
  });

  test('other providers, more or fewer, are refused', async () => {
    const captured = await guest.resources.quiesce();
    const clock = captured.providers[0]!;
    for (const providers of [
      [],
      [...captured.providers, clock],
      [...captured.providers, { kind: 'pool', version: 1, state: null }],
      [...captured.providers, { kind: 'handles', version: 1, state: [] }],
    ]) {
      const { code } = await failureOf(restoredGuest(host, { ...captured, providers }));
      expect(code).toBe('ERR_RESOURCE_NOT_GRANTED');
    }
    for (const wrong of [
      { ...clock, version: 9 },
      { ...clock, state: { monotonicNs: -1, cpuNs: 0 } },
    ]) {
      const providers = [wrong, ...captured.providers.slice(1)];
      const { code } = await failureOf(restoredGuest(host, { ...captured, providers }));
      expect(code).toBe('ERR_MALFORMED_IMAGE');
    }
  });
});
