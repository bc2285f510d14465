import { closeSync, fstatSync, openSync, readSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { descriptorPost } from '../../src/native/descriptors.ts';
import { overflowUid, peerReader, socketFd } from '../../src/native/peer.ts';
import { scratchDirectory } from '../host/scratch.ts';

const scratch = scratchDirectory();
const post = descriptorPost()!;
const server = createServer({ pauseOnConnect: true });
const path = join(scratch, 's.sock');

beforeAll(() => new Promise<void>((resolve) => server.listen(path, resolve)));
afterAll(() => void server.close());

/** Two ends of one connection. */
async function pair(): Promise<readonly [Socket, Socket]> {
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const here = connect(path);
  await new Promise((resolve) => here.once('connect', resolve));
  return [here, await accepted];
}

const limits = { bytesMax: 4, fdsMax: 3, timeoutMs: 1000 };

describe('descriptors over a socket', () => {
  test('arrive, in order, with the bytes', async () => {
    const [here, there] = await pair();
    const names = ['one', 'two', 'three'].map((name) => join(scratch, name));
    for (const name of names) writeFileSync(name, name);
    const sent = names.map((name) => openSync(name, 'r'));
    expect(post.send(socketFd(here), Uint8Array.of(1, 2), sent)).toBe(0);
    const got = post.receive(socketFd(there), limits)!;
    expect([...got.bytes]).toEqual([1, 2]);
    expect(got.fds).toHaveLength(3);
    for (const [at, fd] of got.fds.entries()) {
      expect(sent).not.toContain(fd);
      const text = Buffer.alloc(200);
      expect(text.toString('utf8', 0, readSync(fd, text))).toBe(names[at]);
      closeSync(fd);
      closeSync(sent[at]!);
    }
    for (const socket of [here, there]) socket.destroy();
  });

  test('may be none', async () => {
    const [here, there] = await pair();
    expect(post.send(socketFd(here), Uint8Array.of(7), [])).toBe(0);
    const got = post.receive(socketFd(there), { ...limits, fdsMax: 0 })!;
    expect([[...got.bytes], got.fds]).toEqual([[7], []]);
    for (const socket of [here, there]) socket.destroy();
  });

  test('more than are wanted are refused and closed', async () => {
    const [here, there] = await pair();
    const fd = openSync(join(scratch, 'one'), 'r');
    expect(post.send(socketFd(here), Uint8Array.of(1), [fd, fd, fd, fd, fd, fd, fd])).toBe(0);
    const before = openSync(join(scratch, 'one'), 'r');
    closeSync(before);
    expect(post.receive(socketFd(there), limits)).toBeNull();
    const after = openSync(join(scratch, 'one'), 'r');
    expect(after).toBe(before);
    for (const one of [fd, after]) closeSync(one);
    for (const socket of [here, there]) socket.destroy();
  });

  test('nothing in time, or nobody there, is null', async () => {
    const [here, there] = await pair();
    expect(post.receive(socketFd(there), { ...limits, timeoutMs: 10 })).toBeNull();
    here.destroy();
    await new Promise((resolve) => here.once('close', resolve));
    expect(post.receive(socketFd(there), limits)).toBeNull();
    there.destroy();
    expect(post.send(-1, Uint8Array.of(1), [])).not.toBe(0);
  });
});

test('the kernel says who is at the other end, for connected sockets alone', async () => {
  const peerOf = peerReader()!;
  const [here, there] = await pair();
  const self = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };
  expect(peerOf(socketFd(here))).toEqual(self);
  expect(peerOf(socketFd(there))).toEqual(self);
  const file = openSync(join(scratch, 'one'), 'r');
  expect(fstatSync(file).isFile()).toBe(true);
  expect([peerOf(file), peerOf(-1)]).toEqual([null, null]);
  closeSync(file);
  for (const socket of [here, there]) socket.destroy();
  expect(overflowUid()).toBeGreaterThan(0);
});
