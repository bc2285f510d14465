/** The other layer by itself: its calls, and its state between any two of them. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import type { OutputSink } from '../../src/handle/grants.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import { GuestExit } from '../../src/wasi/environment.ts';
import { layerIdentity, WASMER_VERSION } from '../../src/wasi/layers.ts';
import { loadWasmer } from '../../src/wasi/wasmer-package.ts';
import {
  call,
  fdstat,
  filestat,
  onPath,
  open,
  pathFilestat,
  pread,
  pwrite,
  read,
  readdir,
  rename,
  runScript,
  type Step,
  seek,
  tell,
  write,
} from '../differential/call-script.ts';
import { createHost, type Host, removeHost } from '../wasi/harness.ts';
import { captureWasmer, restoreWasmer, startWasmer } from './wasmer-guest.ts';

let host: Host;
beforeEach(() => {
  host = createHost();
});
afterEach(() => removeHost(host));

/** The directory that the guest has from the beginning; 3 is the package's own root, with few rights. */
const ROOT = 4;
const FIRST = 5;

/** Holds every kind of state that the package has: files, offsets, flags, rights, directories, streams. */
const SCRIPT: readonly Step[] = [
  open('a', { dirfd: ROOT, oflags: 1 }),
  write(FIRST, 'hello world'),
  seek(FIRST, 2n, 0),
  read(FIRST, 3),
  tell(FIRST),
  onPath('path_create_directory', 'd', ROOT),
  open('d/b', { dirfd: ROOT, oflags: 1 }),
  write(FIRST + 1, 'x'.repeat(5000)),
  write(1, 'to standard output\n'),
  seek(FIRST + 1, -7n, 2),
  read(FIRST + 1, 100),
  open('d/b', { dirfd: ROOT, rights: 2n }),
  write(FIRST + 2, 'not allowed'),
  read(FIRST + 2, 4),
  pwrite(FIRST, 'PW', 1n),
  pread(FIRST, 20, 0n),
  open('d', { dirfd: ROOT, oflags: 2 }),
  readdir(FIRST + 3),
  rename('d/b', 'd/c', ROOT),
  readdir(FIRST + 3),
  filestat(FIRST + 1),
  fdstat(FIRST),
  call('fd_fdstat_set_flags', FIRST, 1),
  fdstat(FIRST),
  write(2, 'to standard error\n'),
  call('fd_filestat_set_size', FIRST, 4n),
  read(FIRST, 10),
  call('fd_close', FIRST + 2),
  read(FIRST + 2, 1),
  open('late', { dirfd: ROOT, oflags: 1 }),
  write(FIRST + 4, 'after the rest'),
  onPath('path_unlink_file', 'a', ROOT),
  pathFilestat('a', { dirfd: ROOT }),
  read(0, 8),
  read(0, 8),
  read(0, 8),
];

describe('a script of calls', () => {
  test('goes on in another layer after any of its calls', async () => {
    const input = (): void => {
      host.stdin.splice(0, Number.POSITIVE_INFINITY, Buffer.from('input of the guest'), 'end');
      host.written.stdout = '';
      host.written.stderr = '';
    };
    input();
    const whole = runScript(startWasmer(host), SCRIPT);
    const written = { ...host.written };
    expect(written).toEqual({ stdout: 'to standard output\n', stderr: 'to standard error\n' });
    expect(whole.filter(([errno]) => errno === 0).length).toBeGreaterThan(25);
    expect(whole.slice(-3).map(([, text]) => text)).toEqual(['input of', ' the gue', 'st']);

    for (let cut = 0; cut <= SCRIPT.length; cut++) {
      input();
      const first = startWasmer(host);
      const before = runScript(first, SCRIPT.slice(0, cut));
      const moved = await captureWasmer(first);
      const second = await restoreWasmer(host, moved);
      const after = runScript(second, SCRIPT.slice(cut));
      expect([...before, ...after], `cut after ${cut} calls`).toEqual(whole);
      expect(host.written, `cut after ${cut} calls`).toEqual(written);
      // The one that was captured goes on as well.
      expect(runScript(first, SCRIPT.slice(cut, -3)), `resumed after ${cut}`).toEqual(
        whole.slice(cut, -3),
      );
    }
    process.stdout.write(
      `layer: ${SCRIPT.length} calls, restored between any two of them: ${SCRIPT.length + 1} restores\n`,
    );
  });

  test('goes on through a chain of layers, one for each call', async () => {
    host.stdin.push(Buffer.from('input of the guest'), 'end');
    const whole = runScript(startWasmer(host), SCRIPT);
    host.stdin.splice(0, Number.POSITIVE_INFINITY, Buffer.from('input of the guest'), 'end');
    let guest = startWasmer(host);
    for (const [at, step] of SCRIPT.entries()) {
      expect(step(guest), `call ${at}`).toEqual(whole[at]);
      guest = await restoreWasmer(host, await captureWasmer(guest));
    }
  });
});

describe('a restore is refused', () => {
  test('when the layer is not built as it was', async () => {
    const moved = await captureWasmer(startWasmer(host));
    await expect(restoreWasmer(host, moved, { args: ['other'] })).rejects.toMatchObject({
      code: 'ERR_SOFTWARE_MISMATCH',
    });
    await expect(restoreWasmer(host, moved, { env: ['A=2'] })).rejects.toMatchObject({
      code: 'ERR_SOFTWARE_MISMATCH',
    });
  });

  test('when it was another release', async () => {
    const moved = await captureWasmer(startWasmer(host));
    const state = { ...(moved.state as object), identity: '@wasmer/wasi 1.2.1' };
    await expect(restoreWasmer(host, { ...moved, state })).rejects.toMatchObject({
      code: 'ERR_SOFTWARE_MISMATCH',
      facts: { sealed: '@wasmer/wasi 1.2.1', now: layerIdentity('wasmer') },
    });
  });

  test('when its memory is smaller than the layer begins with, or larger than is allowed', async () => {
    const moved = await captureWasmer(startWasmer(host));
    const smaller = { ...moved, own: new Uint8Array(2 * 65_536).fill(1) };
    await expect(restoreWasmer(host, smaller)).rejects.toMatchObject({
      code: 'ERR_MALFORMED_IMAGE',
    });
    const larger = { ...moved, own: new Uint8Array(66 * 65_536).fill(1) };
    await expect(restoreWasmer(host, larger, { memoryPagesMax: 1 })).rejects.toMatchObject({
      code: 'ERR_RESOURCE_NOT_GRANTED',
      hint: 'raise --max-memory',
    });
  });
});

describe('a call that breaks the package', () => {
  const poll: Step = ({ calls, memory }) => {
    memory.bytes.fill(0, 0x1000, 0x1030);
    memory.view.setUint32(0x1010, 1, true);
    return [calls['poll_oneoff']!(0x1000, 0x2000, 1, 0x800)];
  };

  test('ends the guest, and so does every later one', () => {
    const guest = startWasmer(host);
    expect(() => poll(guest)).toThrow(/^@wasmer\/wasi broke down in poll_oneoff: unreachable$/);
    expect(() => write(1, 'x')(guest)).toThrow(/broke down in poll_oneoff: and was called again/);
    expect(host.written.stdout).toBe('');
  });

  test('leaves nothing that could be captured', async () => {
    const guest = startWasmer(host);
    expect(() => poll(guest)).toThrow();
    await expect(captureWasmer(guest)).rejects.toMatchObject({
      code: 'ERR_NOT_CAPTURABLE',
      facts: { 'broke down in': 'poll_oneoff' },
    });
  });

  test('is the answer to a file that does not fit', () => {
    const guest = startWasmer(host, { memoryPagesMax: 16 });
    const pages = () => guest.layer.memory.length / 65_536;
    const before = pages();
    open('large', { dirfd: ROOT, oflags: 1 })(guest);
    expect(() => call('fd_filestat_set_size', FIRST, 2n ** 31n)(guest)).toThrow(/broke down/);
    expect(before).toBeLessThan(32);
    expect(pages()).toBeLessThanOrEqual(16 + 64);
  });
});

describe('standard input', () => {
  test('is waited for, and gives way to a checkpoint', async () => {
    const waits: (bigint | null)[] = [];
    host.waits.push((untilNs) => {
      waits.push(untilNs);
      return 'interrupted';
    });
    const guest = startWasmer(host);
    expect(read(0, 4)(guest)).toEqual([INTERRUPTED]);
    expect(waits).toEqual([null]);
    const moved = await captureWasmer(guest);
    const second = await restoreWasmer(host, moved);
    host.stdin.push(Buffer.from('abcdef'), 'end');
    expect(read(0, 4)(second)).toEqual([0, 'abcd']);
    // What the package holds of it goes along.
    const third = await restoreWasmer(host, await captureWasmer(second));
    expect(read(0, 4)(third)).toEqual([0, 'ef']);
    expect(read(0, 4)(third)).toEqual([0, '']);
  });

  test('is not waited for where it is not read', () => {
    const guest = startWasmer(host);
    expect(read(0, 0)(guest)).toEqual([0, '']);
    expect(call('fd_close', 0)(guest)).toEqual([0]);
    expect(read(0, 4)(guest)).toEqual([ERRNO.BADF]);
    open('empty', { dirfd: ROOT, oflags: 1 })(guest);
    expect(read(FIRST, 4)(guest)).toEqual([0, '']);
  });

  test('that fails is the guest’s to see', () => {
    host.stdin.push('failed');
    expect(read(0, 4)(startWasmer(host))).toEqual([ERRNO.IO]);
  });
});

describe('output', () => {
  test('that a checkpoint interrupts is written once, and the call made once', async () => {
    const taken: string[] = [];
    const recorded: string[] = [];
    const sink: OutputSink = {
      isTerminal: false,
      hostFd: 7,
      record: (parts) => {
        recorded.push(Buffer.concat(parts).toString());
        return ERRNO.SUCCESS;
      },
      write: (parts, fromBytes) => {
        const part = Buffer.concat(parts).subarray(fromBytes).subarray(0, 3);
        taken.push(part.toString());
        return part.length;
      },
    };
    host.waits.push(
      () => 'interrupted',
      () => 'ready',
    );
    const guest = startWasmer({
      ...host,
      grants: () => host.grants({ preopens: [], stdout: sink }),
    });
    expect(write(1, 'abcdefgh')(guest)).toEqual([INTERRUPTED]);
    expect(guest.environment.progress).toMatchObject({ errno: 0 });
    expect(write(1, 'abcdefgh')(guest)).toEqual([0, 8]);
    expect(taken).toEqual(['abc', 'def', 'gh']);
    expect(recorded).toEqual(['abcdefgh']);
    expect(guest.environment.progress).toBe(null);
  });

  test('that nobody takes is an errno', () => {
    const sink: OutputSink = {
      isTerminal: false,
      hostFd: null,
      record: () => ERRNO.SUCCESS,
      write: () => -ERRNO.PIPE,
    };
    const guest = startWasmer({
      ...host,
      grants: () => host.grants({ preopens: [], stdout: sink }),
    });
    expect(write(1, 'x')(guest)).toEqual([ERRNO.PIPE]);
  });
});

describe('what is ours in the other layer', () => {
  test('exit, clocks and randomness', () => {
    const guest = startWasmer(host);
    expect(() => guest.calls['proc_exit']!(7)).toThrow(GuestExit);
    host.clock.realtimeNs = 1_234_567_891_234_567n;
    for (const id of [0, 1]) {
      expect(guest.calls['clock_time_get']!(id, 0n, 0x800)).toBe(0);
      // The package's clocks count milliseconds, and both are the wall clock.
      expect(guest.memory.view.getBigUint64(0x800, true)).toBe(1_234_567_891_000_000n);
    }
    expect(guest.calls['random_get']!(0x800, 32)).toBe(0);
    expect(new Set(guest.memory.bytes.subarray(0x800, 0x820)).size).toBeGreaterThan(8);
    expect(guest.calls['random_get']!(-8, 32)).toBe(ERRNO.FAULT);
  });

  test('is the release that the package says', async () => {
    const { default: description } = await import('@wasmer/wasi/package.json', {
      with: { type: 'json' },
    });
    expect(description.version).toBe(WASMER_VERSION);
  });
});

describe('the package', () => {
  const world = { nowMs: () => 0, memoryPagesMax: 64 };
  const config = { args: ['program'], env: {}, preopens: {} };
  const engineOfAll = () => (globalThis as unknown as { WebAssembly: object }).WebAssembly;

  test('reaches nothing but what calls need, once it is sealed', () => {
    const before = engineOfAll();
    const loaded = loadWasmer(world);
    expect(engineOfAll()).toBe(before);
    loaded.create(config);
    loaded.seal();
    expect(() => loaded.create(config)).toThrow(/it reached for __/);
  });

  test('of one guest shares nothing with that of another', () => {
    const [first, second] = [startWasmer(host), startWasmer(host)];
    expect(open('f', { dirfd: ROOT, oflags: 1 })(first)).toEqual([0, FIRST]);
    expect(pathFilestat('f', { dirfd: ROOT })(first)).toEqual([0, 4, 0n]);
    expect(pathFilestat('f', { dirfd: ROOT })(second)).toEqual([ERRNO.NOENT]);
    expect(first.layer.memory.buffer).not.toBe(second.layer.memory.buffer);
  });

  test('has no more memory than it is told', () => {
    const { memory } = loadWasmer(world);
    const pages = memory.buffer.byteLength / 65_536;
    expect(memory.grow(64 - pages)).toBe(pages);
    expect(() => memory.grow(1)).toThrow();
  });
});

describe('a directory that is granted', () => {
  test('is copied, and the copy is the guest’s', async () => {
    mkdirSync(join(host.dir, 'sub'));
    const large = Buffer.alloc(3_000_000, 'abcdefg');
    writeFileSync(join(host.dir, 'sub', 'large'), large);
    writeFileSync(join(host.dir, 'empty'), '');
    const guest = startWasmer(host, {}, [{ hostPath: host.dir, guestPath: '/data/deep' }]);
    expect(open('data/deep/sub/large', { dirfd: ROOT })(guest)).toEqual([0, FIRST]);
    expect(filestat(FIRST)(guest)).toEqual([0, 4, 3_000_000n]);
    expect(pread(FIRST, 7, 2_999_990n)(guest)).toEqual([
      0,
      large.subarray(2_999_990, 2_999_997).toString(),
    ]);
    expect(open('data/deep', { dirfd: ROOT, oflags: 2 })(guest)).toEqual([0, FIRST + 1]);
    expect(readdir(FIRST + 1)(guest).slice(2)).toEqual(['.', '..', 'empty', 'sub']);
    const second = await restoreWasmer(host, await captureWasmer(guest));
    expect(read(FIRST, 7)(second)).toEqual([0, 'abcdefg']);
  });

  test.each(['/', '.', ''])('lies at the root when it is granted as %j', (guestPath) => {
    writeFileSync(join(host.dir, 'file'), 'x');
    const guest = startWasmer(host, {}, [{ hostPath: host.dir, guestPath }]);
    expect(pathFilestat('file', { dirfd: ROOT })(guest)).toEqual([0, 4, 1n]);
  });

  test('is refused with a link in it, by name', () => {
    symlinkSync('/etc/passwd', join(host.dir, 'link'));
    expect(() => startWasmer(host, {}, [{ hostPath: host.dir, guestPath: '/data' }])).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE', message: expect.stringContaining('/link') }),
    );
  });

  test('is refused when it is larger than the memory that the guest may have', () => {
    writeFileSync(join(host.dir, 'large'), Buffer.alloc(8_000_000, 1));
    expect(() =>
      startWasmer(host, { memoryPagesMax: 16 }, [{ hostPath: host.dir, guestPath: '/data' }]),
    ).toThrow(expect.objectContaining({ code: 'ERR_RESOURCE_NOT_GRANTED' }));
  });
});
