/** Files that are open and have no name left, and directories that refuse. */
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OFLAGS } from '../../src/abi/flags.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import type { Grants } from '../../src/handle/grants.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  removeHost,
  restoredGuest,
  startGuest,
} from '../wasi/harness.ts';
import { throughImage } from './through-image.ts';

const CREATE = { oflags: OFLAGS.CREAT };
const CARRY_BYTES_MAX = 200_000;

let host: Host;
let guest: Guest;
let keeping: { directory: string; carryBytesMax: number };

beforeEach(() => {
  host = createHost();
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'stasis-keeping-')));
  keeping = { directory, carryBytesMax: CARRY_BYTES_MAX };
  guest = startGuest(host, { keeping });
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
  rmSync(keeping.directory, { recursive: true, force: true });
});

const onHost = (name: string) => join(host.dir, name);

async function elsewhere(overrides: Partial<Grants> = {}): Promise<void> {
  const captured = throughImage(await guest.resources.quiesce());
  guest.resources.close();
  guest = await restoredGuest(host, captured, { keeping, ...overrides });
}

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
  throw new Error('nothing was refused');
}

const seek = (fd: number, offset: bigint) => guest.calls['fd_seek']!(fd, offset, 0, AT.result);

describe('a file that was deleted while it is open', () => {
  test('comes back elsewhere, without a name, as one file for all its handles', async () => {
    const writer = guest.open('a', CREATE);
    const reader = guest.open('a', { rights: RIGHT.FD_READ });
    guest.write(writer, 'temporary');
    unlinkSync(onHost('a'));
    await elsewhere();
    expect(readdirSync(host.dir)).toEqual([]);
    expect(readdirSync(keeping.directory)).toEqual([]);
    expect(guest.read(reader, 4)).toBe('temp');
    expect(guest.write(writer, ' file')).toBe(5);
    expect(guest.read(reader, 100)).toBe('orary file');
    expect(guest.write(reader, 'x')).toBeLessThan(0);
    // And again, from what was made anew.
    await elsewhere();
    seek(reader, 0n);
    expect(guest.read(reader, 100)).toBe('temporary file');
  });

  test('is the very same file after a checkpoint in the same process', async () => {
    const fd = guest.open('a', CREATE);
    guest.write(fd, 'abc');
    unlinkSync(onHost('a'));
    guest.calls['fd_filestat_get']!(fd, AT.result);
    const ino = guest.u64(AT.result + 8);
    for (const reason of ['resumed', 'aborted'] as const) {
      await guest.resources.quiesce();
      await guest.resources.resume(reason);
      guest.calls['fd_filestat_get']!(fd, AT.result);
      expect(guest.u64(AT.result + 8)).toBe(ino);
      expect(guest.write(fd, 'd')).toBe(1);
    }
    seek(fd, 0n);
    expect(guest.read(fd, 9)).toBe('abcdd');
  });

  test('with holes, and longer than what may be carried, takes only what is not zero', async () => {
    const fd = guest.open('a', CREATE);
    guest.write(fd, 'start');
    seek(fd, 4_000_000n);
    guest.write(fd, 'end');
    unlinkSync(onHost('a'));
    const captured = throughImage(await guest.resources.quiesce());
    const files = captured.providers.find(({ kind }) => kind === 'files')!;
    expect(encodeCbor(files.state).length).toBeLessThan(CARRY_BYTES_MAX);
    guest.resources.close();
    guest = await restoredGuest(host, captured, { keeping });
    guest.calls['fd_filestat_get']!(fd, AT.result);
    expect(guest.u64(AT.result + 32)).toBe(4_000_003n);
    seek(fd, 0n);
    expect(guest.read(fd, 6)).toBe('start\0');
    seek(fd, 4_000_000n);
    expect(guest.read(fd, 9)).toBe('end');
  });

  test.each<[string, (fd: number) => void]>([
    [
      'holds too much',
      (fd) => {
        for (let n = 0; n < 5; n++) guest.write(fd, 'x'.repeat(50_000));
      },
    ],
    ['is endless zeros', (fd) => void guest.calls['fd_filestat_set_size']!(fd, 2n ** 42n)],
  ])('and %s is refused by name, and the guest goes on', async (_, fill) => {
    const fd = guest.open('a', CREATE);
    fill(fd);
    unlinkSync(onHost('a'));
    const refused = await refusal(guest.resources.quiesce());
    expect(refused).toContain('ERR_NOT_CAPTURABLE');
    expect(refused).toContain('"/data/a"');
    expect(refused).toContain(`${CARRY_BYTES_MAX} bytes`);
    expect(guest.write(fd, 'on')).toBe(2);
    guest.calls['fd_close']!(fd);
    await elsewhere();
  });

  test('is refused where nothing can be kept', async () => {
    guest.resources.close();
    guest = startGuest(host);
    guest.open('a', CREATE);
    unlinkSync(onHost('a'));
    expect(await refusal(guest.resources.quiesce())).toContain('"/data/a"');
  });

  test('is found by another name that it has in the directory', async () => {
    mkdirSync(onHost('d/e'), { recursive: true });
    const fd = guest.open('a', CREATE);
    guest.write(fd, 'abc');
    linkSync(onHost('a'), onHost('d/e/b'));
    unlinkSync(onHost('a'));
    await elsewhere();
    expect(guest.write(fd, 'd')).toBe(1);
    expect(readFileSync(onHost('d/e/b'), 'utf8')).toBe('abcd');
  });

  test('is refused when its only other name is outside', async () => {
    guest.open('a', CREATE);
    linkSync(onHost('a'), join(keeping.directory, 'b'));
    unlinkSync(onHost('a'));
    expect(await refusal(guest.resources.quiesce())).toContain('moved out of the directory');
  });

  test('a descriptor held for it is let go, whatever happens', async () => {
    const open = () => readdirSync('/proc/self/fd').length;
    const fd = guest.open('a', CREATE);
    unlinkSync(onHost('a'));
    const before = open();
    for (let round = 0; round < 3; round++) {
      await guest.resources.quiesce();
      await guest.resources.resume('resumed');
    }
    guest.open('gone', CREATE);
    rmSync(onHost('gone'));
    guest.open('big', CREATE);
    guest.calls['fd_filestat_set_size']!(fd + 2, 2n ** 42n);
    rmSync(onHost('big'));
    await refusal(guest.resources.quiesce());
    expect(open()).toBe(before + 2);
  });
});

describe('contents in an image that lies', () => {
  const restored = async (change: (unnamed: Record<string, CborValue>[]) => void) => {
    const fd = guest.open('a', CREATE);
    guest.write(fd, 'abcdef');
    unlinkSync(onHost('a'));
    const captured = structuredClone(await guest.resources.quiesce());
    guest.resources.close();
    const files = captured.providers.find(({ kind }) => kind === 'files')!;
    const { unnamed } = files.state as unknown as { unnamed: Record<string, CborValue>[] };
    change(unnamed);
    return refusal(restoredGuest(host, captured, { keeping }));
  };

  test.each<[string, CborValue]>([
    ['beyond the size', [[4, Buffer.from('xyz')]]],
    [
      'that overlap',
      [
        [0, Buffer.from('abc')],
        [2, Buffer.from('d')],
      ],
    ],
    ['that are empty', [[0, Buffer.from('')]]],
    ['before the start', [[-1, Buffer.from('a')]]],
  ])('parts %s are refused', async (_, parts) => {
    expect(await restored((unnamed) => void Object.assign(unnamed[0]!, { parts }))).toContain(
      'ERR_MALFORMED_IMAGE',
    );
  });

  test('a file that is not there is refused', async () => {
    expect(await restored((unnamed) => void unnamed.pop())).toContain('ERR_RESOURCE_CHANGED');
  });
});

describe('a directory that refuses', () => {
  beforeEach(() => {
    guest.resources.close();
    mkdirSync(onHost('d'));
    writeFileSync(onHost('d/a'), 'abc');
    const preopens = [
      { hostPath: host.dir, guestPath: '/data', readOnly: false, policy: 'refuse' } as const,
    ];
    const { grants } = host;
    host = { ...host, grants: (more = {}) => grants({ preopens, ...more }) };
    guest = startGuest(host, { keeping });
  });

  test('lets a checkpoint be made while nothing below it is open', async () => {
    expect(guest.open('d/a')).toBe(4);
    guest.calls['fd_close']!(4);
    await elsewhere();
    expect(guest.read(guest.open('d/a'), 3)).toBe('abc');
  });

  test.each(['d', 'd/a'])('refuses by name while %s is open', async (path) => {
    const fd = guest.open(path, path === 'd' ? { oflags: OFLAGS.DIRECTORY } : {});
    const refused = await refusal(guest.resources.quiesce());
    expect(refused).toContain('ERR_NOT_CAPTURABLE');
    expect(refused).toContain(`"/data/${path}"`);
    guest.calls['fd_close']!(fd);
    await elsewhere();
  });

  test('also while a deleted file of it is open', async () => {
    guest.open('d/a');
    unlinkSync(onHost('d/a'));
    expect(await refusal(guest.resources.quiesce())).toContain('refuse');
  });
});
