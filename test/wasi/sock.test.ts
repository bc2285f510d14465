import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { FDFLAGS, FILETYPE, RIFLAGS, SDFLAGS } from '../../src/abi/flags.ts';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { nativeDescriptors } from '../../src/handle/native-descriptors.ts';
import { bindSockets } from '../../src/host/listening-socket.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import {
  AT,
  createHost,
  type Guest,
  type Host,
  iovecs,
  MEMORY_BYTES,
  removeHost,
  restoredGuest,
  startGuest,
} from './harness.ts';

const native = nativeDescriptors()!;
const LISTENER = 3;
const DIRECTORY = 4;
const PIECE = 900_000;

let host: Host;
let guest: Guest;
let port: number;
let clients: Socket[] = [];

/** A socket for a guest, at a port that is free. */
async function listener(name = 'web', at = 0) {
  const [bound] = await bindSockets([{ name, host: '127.0.0.1', port: at }]);
  return bound!;
}

beforeEach(async () => {
  host = createHost();
  host.native = native;
  const bound = await listener();
  port = bound.port;
  guest = startGuest(host, { listeners: [{ name: 'web', hostFd: bound.hostFd }] });
});

afterEach(() => {
  for (const client of clients) client.destroy();
  clients = [];
  guest.resources.close();
  removeHost(host);
});

async function client(): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  clients.push(socket);
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Waits for what another end did to arrive: a guest's calls never let the event loop turn. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

const hostFdOf = (fd: number): number => {
  const handle = guest.resources.handles.get(fd)!;
  if (handle.kind === 'listener') return handle.listener.hostFd;
  return handle.kind === 'connection' ? handle.hostFd : -1;
};
const waiting = (fd: number, bytes: number) => () => native.waitingBytes(hostFdOf(fd)) >= bytes;

function accept(flags = 0, fd = LISTENER): number {
  const errno = guest.calls['sock_accept']!(fd, flags, AT.result);
  return errno === 0 ? guest.u32() : errno === INTERRUPTED ? errno : -errno;
}

function recv(fd: number, length: number, flags = 0): string | number {
  iovecs(guest, [[AT.data, length]]);
  const errno = guest.calls['sock_recv']!(fd, AT.iovecs, 1, flags, AT.result, AT.result + 4);
  if (errno === INTERRUPTED) return errno;
  return errno === 0 ? guest.text(AT.data, guest.u32()) : -errno;
}

function send(fd: number, length: number): number {
  iovecs(guest, [[AT.data, length]]);
  const errno = guest.calls['sock_send']!(fd, AT.iovecs, 1, 0, AT.result);
  return errno === 0 ? guest.u32() : errno === INTERRUPTED ? errno : -errno;
}

/** A client and the guest's number of the connection with it. */
async function connected(flags = 0): Promise<{ peer: Socket; fd: number }> {
  const peer = await client();
  return { peer, fd: accept(flags) };
}

function poll(...subscriptions: readonly { fd: number; write?: boolean }[]) {
  const { view, bytes } = guest.memory;
  const out = AT.data + 0x4000;
  for (const [index, { fd, write }] of subscriptions.entries()) {
    const at = AT.data + index * 48;
    bytes.fill(0, at, at + 48);
    view.setUint8(at, index);
    view.setUint8(at + 8, write ? 2 : 1);
    view.setUint32(at + 16, fd, true);
  }
  const count = subscriptions.length;
  const errno = guest.calls['poll_oneoff']!(AT.data, out, count, AT.result);
  if (errno !== 0) return errno;
  return Array.from({ length: guest.u32() }, (_, index) => {
    const at = out + index * 32;
    return {
      of: view.getUint8(at),
      error: view.getUint16(at + 8, true),
      nbytes: Number(view.getBigUint64(at + 16, true)),
      hangup: view.getUint16(at + 24, true) === 1,
    };
  });
}

describe('a listener', () => {
  test('is handle 3, a socket, and passed over by who looks for directories', () => {
    expect(guest.calls['fd_fdstat_get']!(LISTENER, AT.result)).toBe(0);
    expect(guest.memory.bytes[AT.result]).toBe(FILETYPE.SOCKET_STREAM);
    expect(guest.calls['fd_prestat_get']!(LISTENER, AT.result)).toBe(0);
    expect(guest.u32()).toBe(1);
    expect(guest.calls['fd_prestat_dir_name']!(LISTENER, AT.data, 10)).toBe(ERRNO.BADF);
    expect(guest.calls['fd_prestat_get']!(DIRECTORY, AT.result)).toBe(0);
    expect(guest.u32()).toBe(0);
    expect(guest.calls['fd_filestat_get']!(LISTENER, AT.data)).toBe(0);
    expect(guest.memory.bytes[AT.data + 16]).toBe(FILETYPE.SOCKET_STREAM);
    expect(guest.calls['fd_seek']!(LISTENER, 0n, 0, AT.result)).toBe(ERRNO.SPIPE);
    expect(guest.calls['fd_sync']!(LISTENER)).toBe(ERRNO.INVAL);
    expect(guest.read(LISTENER, 1)).toBe(-ERRNO.BADF);
    expect(guest.write(LISTENER, 'x')).toBe(-ERRNO.BADF);
    expect(recv(LISTENER, 1)).toBe(-ERRNO.NOTCONN);
    expect(send(LISTENER, 1)).toBe(-ERRNO.NOTCONN);
    expect(guest.calls['sock_shutdown']!(LISTENER, SDFLAGS.RD)).toBe(ERRNO.NOTCONN);
  });

  test('gives one connection after the other, each with the lowest free number', async () => {
    const peers = await Promise.all([client(), client(), client()]);
    expect(peers.map(() => accept())).toEqual([5, 6, 7]);
    guest.calls['fd_close']!(6);
    await client();
    expect(accept(FDFLAGS.NONBLOCK)).toBe(6);
    guest.calls['fd_fdstat_get']!(6, AT.result);
    expect(guest.memory.view.getUint16(AT.result + 2, true)).toBe(FDFLAGS.NONBLOCK);
  });

  test('waits, or says that there is none, or gives way to a checkpoint', async () => {
    host.waits.push((untilNs) => {
      expect(untilNs).toBeNull();
      return 'interrupted';
    });
    expect(accept()).toBe(INTERRUPTED);
    expect(guest.environment.progress).toBeNull();
    guest.calls['fd_fdstat_set_flags']!(LISTENER, FDFLAGS.NONBLOCK);
    expect(accept()).toBe(-ERRNO.AGAIN);
    await client();
    expect(accept()).toBe(5);
  });

  test('refuses wrong arguments and takes no connection for them', async () => {
    await client();
    expect(accept(0, 99)).toBe(-ERRNO.BADF);
    expect(accept(0, 1)).toBe(-ERRNO.NOTSOCK);
    expect(accept(0, DIRECTORY)).toBe(-ERRNO.NOTSOCK);
    expect(accept(FDFLAGS.APPEND)).toBe(-ERRNO.INVAL);
    expect(accept(-1)).toBe(-ERRNO.INVAL);
    expect(guest.calls['sock_accept']!(LISTENER, 0, MEMORY_BYTES - 3)).toBe(ERRNO.FAULT);
    const fd = accept();
    expect(fd).toBe(5);
    expect(accept(0, fd)).toBe(-ERRNO.INVAL);
    guest.calls['fd_fdstat_set_rights']!(LISTENER, 0n, 0n);
    expect(accept()).toBe(-ERRNO.NOTCAPABLE);
  });

  test('leaves the connection waiting when no handle is free', async () => {
    guest.resources.close();
    const bound = await listener();
    port = bound.port;
    const listeners = [{ name: 'web', hostFd: bound.hostFd }];
    guest = startGuest(host, { listeners, handlesMax: 6 });
    await client();
    await client();
    expect(accept()).toBe(5);
    expect(accept()).toBe(-ERRNO.MFILE);
    guest.calls['fd_close']!(5);
    expect(accept()).toBe(5);
  });

  test('that is closed is closed for the world', async () => {
    expect(guest.calls['fd_close']!(LISTENER)).toBe(0);
    await expect(client()).rejects.toThrow('ECONNREFUSED');
  });
});

describe('a connection', () => {
  test('gives what came, in all its buffers, and its end', async () => {
    const { peer, fd } = await connected();
    peer.write('hello world');
    await until(waiting(fd, 11));
    iovecs(guest, [
      [AT.data, 2],
      [AT.data + 100, 0],
      [AT.data + 2, 3],
    ]);
    guest.memory.bytes.fill(0xff, AT.result, AT.result + 8);
    expect(guest.calls['sock_recv']!(fd, AT.iovecs, 3, 0, AT.result, AT.result + 4)).toBe(0);
    expect([guest.u32(), guest.text(AT.data, 5)]).toEqual([5, 'hello']);
    expect(guest.memory.view.getUint16(AT.result + 4, true)).toBe(0);
    expect(recv(fd, 3, RIFLAGS.PEEK)).toBe(' wo');
    expect(guest.read(fd, 100)).toBe(' world');
    peer.end();
    await until(
      () => native.poll([{ hostFd: hostFdOf(fd), read: true, write: false }], 0n)[0]!.read,
    );
    expect(recv(fd, 10)).toBe('');
    expect(guest.read(fd, 10)).toBe('');
    expect(recv(fd, 0)).toBe('');
  });

  test('looks ahead into several buffers at once', async () => {
    const { peer, fd } = await connected();
    peer.write('abcdef');
    await until(waiting(fd, 6));
    iovecs(guest, [
      [AT.data, 2],
      [AT.data + 10, 3],
    ]);
    const flags = RIFLAGS.PEEK | RIFLAGS.WAITALL;
    expect(guest.calls['sock_recv']!(fd, AT.iovecs, 2, flags, AT.result, AT.result + 4)).toBe(0);
    expect([guest.u32(), guest.text(AT.data, 2), guest.text(AT.data + 10, 3)]).toEqual([
      5,
      'ab',
      'cde',
    ]);
    expect(recv(fd, 10)).toBe('abcdef');
  });

  test('waits for all that was asked for, and a checkpoint between loses none of it', async () => {
    const { peer, fd } = await connected();
    peer.write('abc');
    await until(waiting(fd, 3));
    host.waits.push(() => 'interrupted');
    expect(recv(fd, 8, RIFLAGS.WAITALL)).toBe(INTERRUPTED);
    expect(guest.environment.progress).toBe(3);
    peer.write('defghij');
    await until(waiting(fd, 7));
    expect(recv(fd, 8, RIFLAGS.WAITALL)).toBe('abcdefgh');
    expect(guest.environment.progress).toBeNull();
    guest.calls['fd_fdstat_set_flags']!(fd, FDFLAGS.NONBLOCK);
    expect(recv(fd, 8, RIFLAGS.WAITALL)).toBe('ij');
    expect(recv(fd, 8, RIFLAGS.WAITALL)).toBe(-ERRNO.AGAIN);
  });

  test('takes as much as there is room for, and all of it when it may wait', async () => {
    const { peer, fd } = await connected(FDFLAGS.NONBLOCK);
    let got = 0;
    let wrong = 0;
    peer.on('data', (part) => {
      for (const byte of part) if (byte !== ((got++ * 7) & 0xff)) wrong += 1;
    });
    peer.pause();
    const place = 0x9000;
    /** Sends the bytes from `from` on, which no two places of a stream share, from two buffers. */
    const give = (from: number) => {
      const { bytes } = guest.memory;
      for (let at = 0; at < PIECE; at++) bytes[place + at] = (from + at) * 7;
      iovecs(guest, [
        [place, 1],
        [place + 1, PIECE - 1],
      ]);
      const errno = guest.calls['sock_send']!(fd, AT.iovecs, 2, 0, AT.result);
      return errno === 0 ? guest.u32() : errno === INTERRUPTED ? errno : -errno;
    };
    let sent = 0;
    let now = give(0);
    for (; now > 0; now = give(sent)) sent += now;
    expect(now).toBe(-ERRNO.AGAIN);
    guest.calls['fd_fdstat_set_flags']!(fd, 0);
    let checkpoints = 0;
    const capturedIn = () => {
      host.waits.length = 0;
      host.waits.push(() => 'interrupted');
      now = give(sent);
      return now === INTERRUPTED;
    };
    for (; capturedIn(); checkpoints++) {
      peer.resume();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(now).toBe(PIECE);
    expect(checkpoints).toBeGreaterThan(0);
    sent += now;
    await until(() => got >= sent);
    expect([got, wrong]).toEqual([sent, 0]);
    process.stdout.write(`sock: ${sent} bytes, captured ${checkpoints} times in the last call\n`);
  });

  test('that nobody reads any more is PIPE, without a signal, and ends are told by poll', async () => {
    const { peer, fd } = await connected();
    peer.resetAndDestroy();
    await until(
      () => native.poll([{ hostFd: hostFdOf(fd), read: true, write: false }], 0n)[0]!.hangup,
    );
    expect(poll({ fd }, { fd, write: true })).toMatchObject([
      { of: 0, error: 0, nbytes: 0, hangup: true },
      { of: 1, error: 0, hangup: true },
    ]);
    expect([-ERRNO.CONNRESET, -ERRNO.PIPE]).toContain(send(fd, 3));
    expect(send(fd, 3)).toBe(-ERRNO.PIPE);
    expect(guest.calls['fd_close']!(fd)).toBe(0);
  });

  test('is shut down one way or both', async () => {
    const { peer, fd } = await connected();
    const shutdown = guest.calls['sock_shutdown']!;
    for (const how of [0, 4, 7, -1]) expect(shutdown(fd, how)).toBe(ERRNO.INVAL);
    let ended = false;
    peer.on('end', () => {
      ended = true;
    });
    peer.resume();
    expect(shutdown(fd, SDFLAGS.WR)).toBe(0);
    expect(send(fd, 1)).toBe(-ERRNO.PIPE);
    await until(() => ended);
    expect(shutdown(fd, SDFLAGS.RD | SDFLAGS.WR)).toBe(0);
    expect(recv(fd, 1)).toBe('');
    for (const [number, errno] of [
      [99, ERRNO.BADF],
      [0, ERRNO.NOTSOCK],
      [DIRECTORY, ERRNO.NOTSOCK],
    ] as const) {
      expect(shutdown(number, SDFLAGS.WR)).toBe(errno);
      expect(recv(number, 1)).toBe(-errno);
      expect(send(number, 1)).toBe(-errno);
    }
  });

  test('keeps its rights, and its callers within memory', async () => {
    const { peer, fd } = await connected();
    peer.write('abc');
    await until(waiting(fd, 3));
    iovecs(guest, [[AT.data, 3]]);
    const call = guest.calls['sock_recv']!;
    expect(call(fd, AT.iovecs, 1, 4, AT.result, AT.result)).toBe(ERRNO.INVAL);
    expect(call(fd, AT.iovecs, 2000, 0, AT.result, AT.result)).toBe(ERRNO.INVAL);
    expect(call(fd, AT.iovecs, 1, 0, -1, AT.result)).toBe(ERRNO.FAULT);
    expect(call(fd, AT.iovecs, 1, 0, AT.result, MEMORY_BYTES - 1)).toBe(ERRNO.FAULT);
    iovecs(guest, [[MEMORY_BYTES - 2, 3]]);
    expect(call(fd, AT.iovecs, 1, 0, AT.result, AT.result)).toBe(ERRNO.FAULT);
    expect(guest.calls['sock_send']!(fd, AT.iovecs, 1, 1, AT.result)).toBe(ERRNO.INVAL);
    expect(recv(fd, 3)).toBe('abc');
    guest.calls['fd_fdstat_set_rights']!(fd, 0n, 0n);
    expect(recv(fd, 3)).toBe(-ERRNO.NOTCAPABLE);
    expect(send(fd, 3)).toBe(-ERRNO.NOTCAPABLE);
    expect(guest.calls['sock_shutdown']!(fd, 1)).toBe(ERRNO.NOTCAPABLE);
    expect(poll({ fd })).toMatchObject([{ error: ERRNO.NOTCAPABLE }]);
  });

  test('and its listener are polled together with others, each descriptor asked for once', async () => {
    const { peer, fd } = await connected();
    const asked: unknown[] = [];
    host.waits.push(() => {
      asked.push('waited');
      return 'interrupted';
    });
    expect(poll({ fd: LISTENER }, { fd })).toBe(INTERRUPTED);
    expect(asked).toEqual(['waited']);
    peer.write('12345');
    await until(waiting(fd, 5));
    await client();
    expect(
      poll({ fd: LISTENER }, { fd }, { fd, write: true }, { fd: LISTENER, write: true }),
    ).toEqual([
      { of: 0, error: 0, nbytes: 1, hangup: false },
      { of: 1, error: 0, nbytes: 5, hangup: false },
      { of: 2, error: 0, nbytes: 65_536, hangup: false },
      { of: 3, error: ERRNO.BADF, nbytes: 0, hangup: false },
    ]);
    const many = Array.from({ length: 1000 }, () => ({ fd }));
    expect(poll(...many.slice(0, 300))).toHaveLength(300);
  });
});

describe('a checkpoint', () => {
  const captured = async () => structuredClone(await guest.resources.quiesce());

  test('leaves connections of the same process open, with what is on its way', async () => {
    const { peer, fd } = await connected();
    guest.calls['fd_renumber']!(fd, 2);
    peer.write('before');
    await until(waiting(2, 6));
    await guest.resources.quiesce();
    const late = await client();
    await guest.resources.resume('resumed');
    expect(recv(2, 10)).toBe('before');
    expect(send(2, 4)).toBe(4);
    const next = accept();
    late.write('late');
    await until(waiting(next, 4));
    expect(recv(next, 4)).toBe('late');
    expect(guest.resources.handles.get(fd)?.kind).toBe('connection');
  });

  test('restored elsewhere, the listener listens and the connection is gone, never a wait', async () => {
    const { peer, fd } = await connected();
    let broken = false;
    peer.on('end', () => {
      broken = true;
    });
    peer.resume();
    const image = await captured();
    guest.resources.close();
    await until(() => broken);
    const bound = await listener('web', port);
    expect(bound.port).toBe(port);
    guest = await restoredGuest(host, image, {
      listeners: [{ name: 'web', hostFd: bound.hostFd }],
    });
    for (let turn = 0; turn < 2; turn++) {
      expect(recv(fd, 1)).toBe(-ERRNO.CONNRESET);
      expect(recv(fd, 1, RIFLAGS.PEEK | RIFLAGS.WAITALL)).toBe(-ERRNO.CONNRESET);
      expect(send(fd, 1)).toBe(-ERRNO.CONNRESET);
      expect(guest.read(fd, 1)).toBe(-ERRNO.CONNRESET);
      expect(guest.write(fd, 'x')).toBe(-ERRNO.CONNRESET);
      expect(guest.calls['sock_shutdown']!(fd, SDFLAGS.WR)).toBe(ERRNO.NOTCONN);
      expect(poll({ fd }, { fd, write: true })).toEqual([
        { of: 0, error: 0, nbytes: 0, hangup: true },
        { of: 1, error: 0, nbytes: 0, hangup: true },
      ]);
      // The same once more after another checkpoint.
      await guest.resources.quiesce();
      await guest.resources.resume('resumed');
    }
    expect(guest.calls['fd_close']!(fd)).toBe(0);
    await client();
    expect(accept()).toBe(fd);
  });

  test('what a captured transfer had moved is told, though its connection is gone', async () => {
    const { fd } = await connected();
    const image = await captured();
    guest.resources.close();
    const bound = await listener();
    const listeners = [{ name: 'web', hostFd: bound.hostFd }];
    guest = await restoredGuest(host, image, { listeners }, 5);
    expect(send(fd, 8)).toBe(5);
    for (const progress of [9, -1, 0.5, 'x', 2n ** 60n]) {
      guest.environment.progress = progress;
      expect(send(fd, 8)).toBe(-ERRNO.CONNRESET);
    }
  });

  test('an image grants nothing: names, numbers and rights of it are nothing without a grant', async () => {
    type Entry = { kind: string; state: Record<string, CborValue> };
    const { fd } = await connected();
    const restored = async (change: (of: (kind: string) => Entry) => void, name = 'web') => {
      const image = structuredClone(original);
      const of = (kind: string) =>
        (image.handles as unknown as Entry[]).find((entry) => entry.kind === kind)!;
      change(of);
      const bound = await listener();
      port = bound.port;
      guest.resources.close();
      guest = await restoredGuest(host, image, { listeners: [{ name, hostFd: bound.hostFd }] });
    };
    const original = await captured();
    const code = (work: Promise<unknown>) =>
      work.then(
        () => 'restored',
        (error: { code: string }) => error.code,
      );
    expect(await code(restored(() => {}, 'other'))).toBe('ERR_RESOURCE_NOT_GRANTED');
    const lies = [
      ['listener', 'name', '0.0.0.0:22', 'ERR_RESOURCE_NOT_GRANTED'],
      ['listener', 'address', '0.0.0.0:22', 'ERR_MALFORMED_IMAGE'],
      ['connection', 'serial', -1, 'ERR_MALFORMED_IMAGE'],
    ] as const;
    for (const [kind, field, value, refused] of lies) {
      const lie = restored((of) => {
        of(kind).state[field] = value;
      });
      expect(await code(lie)).toBe(refused);
    }
    // A number that would name a connection of this process, had it one.
    await restored((of) => {
      of('connection').state['serial'] = 1;
      of('connection').state['rights'] = 2 ** 30 - 1;
      of('listener').state['rights'] = 2 ** 30 - 1;
    });
    expect(recv(fd, 1)).toBe(-ERRNO.CONNRESET);
    await client();
    expect(accept()).toBe(6);
    expect(guest.calls['sock_accept']!(fd, 0, AT.result)).toBe(ERRNO.INVAL);
    expect(guest.read(LISTENER, 1)).toBe(-ERRNO.BADF);
  });

  test('a socket that the guest closed is closed where it is restored', async () => {
    guest.calls['fd_close']!(LISTENER);
    const image = await captured();
    guest.resources.close();
    const bound = await listener();
    port = bound.port;
    guest = await restoredGuest(host, image, {
      listeners: [{ name: 'web', hostFd: bound.hostFd }],
    });
    await expect(client()).rejects.toThrow('ECONNREFUSED');
  });
});
