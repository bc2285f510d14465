/**
 * A server in a guest: it serves, is captured while it waits in each of its calls, loses both its processes,
 * is restored, and serves again at the same address. Its clients see their connections end, never a wait.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { killProcess } from '../../src/host/process-identity.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { openState } from './open-state.ts';
import { ROOT, stasisIn } from './stasis-command.ts';

const REQUESTS = 100;
const POLL_MS = 20;
/** More than the buffers of both ends hold. */
const LARGE_BYTES = 30_000_000;
/** A bound that no slow machine breaks. */
const REACH_MS_MAX = 10_000;

const home = join(scratchDirectory(), 'home');
const stasis = stasisIn(home);
const guest = join(ROOT, 'guests', 'build', 'echo-server.wasm');
const reachedMs: Record<string, number> = {};

afterAll(() => {
  const shown = Object.entries(reachedMs).map(([at, ms]) => `${at} ${ms.toFixed(2)} ms`);
  process.stdout.write(`sockets: from request to safepoint: ${shown.join(', ')}\n`);
});

interface Client {
  readonly socket: Socket;
  /** The next line that comes; null at the end of the connection, however it came. */
  line(): Promise<string | null>;
  ask(request: string): Promise<string | null>;
}

async function client(port: number): Promise<Client> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  let text = '';
  let ended = false;
  socket.on('data', (part) => {
    text += part.toString('latin1');
  });
  socket.on('close', () => {
    ended = true;
  });
  const line = async (): Promise<string | null> => {
    for (;;) {
      const at = text.indexOf('\n');
      if (at >= 0) {
        const found = text.slice(0, at);
        text = text.slice(at + 1);
        return found;
      }
      if (ended) return null;
      await sleep(1);
    }
  };
  return {
    socket,
    line,
    ask: (request) => {
      socket.write(`${request}\n`);
      return line();
    },
  };
}

/** Starts the server detached; the port that it was given. */
async function serve(words: readonly string[]): Promise<number> {
  const { status, stdout, stderr } = await stasis([
    ...words.slice(0, 1),
    '-d',
    '--json',
    ...words.slice(1),
  ]);
  expect({ status, stderr: String(stderr) }).toEqual({ status: 0, stderr: '' });
  const { listening } = JSON.parse(String(stdout)) as { listening: string[] };
  return Number(listening[0]!.split(':').at(-1));
}

async function capture(job: string, at: string, words: readonly string[] = []): Promise<void> {
  const { status, stdout, stderr } = await stasis(['checkpoint', '--json', ...words, job]);
  expect({ status, stderr: String(stderr) }).toEqual({ status: 0, stderr: '' });
  const { reachNs } = JSON.parse(String(stdout)) as { reachNs: number };
  reachedMs[at] = reachNs / 1e6;
  expect(reachNs / 1e6).toBeLessThan(REACH_MS_MAX);
}

/** SIGKILL to host and cell, and waits until both are gone. */
async function killBoth(job: string): Promise<void> {
  const state = await openState(home);
  const { run } = state.table.find(state.owner, job);
  await state.close();
  killProcess(run.host);
  killProcess(run.cell!);
}

async function logOf(job: string): Promise<string> {
  return String((await stasis(['logs', '--raw', job])).stdout);
}

test('serves, is killed while it waits in each of its calls, and serves again at the same port', async () => {
  const port = await serve(['run', '--name', 'web', '--listen', '127.0.0.1:0', guest]);
  const shown = JSON.parse(String((await stasis(['ps', '--json'])).stdout));
  expect(shown.jobs).toMatchObject([{ job: 'web', listening: [`127.0.0.1:${port}`] }]);
  let served = 0;
  const asks = async (one: Client, count: number) => {
    for (let turn = 0; turn < count; turn++) {
      served += 1;
      expect(await one.ask(`echo hello ${turn}`)).toBe(`${served} hello ${turn}`);
    }
  };

  const first = await client(port);
  await asks(first, REQUESTS / 2);
  first.socket.end();
  expect(await first.line()).toBeNull();
  const second = await client(port);
  await asks(second, REQUESTS / 2);

  // While it receives: the connection outlives the checkpoint, and not the restart.
  await capture('web', 'receiving');
  await asks(second, 1);
  await capture('web', 'receiving again');
  await killBoth('web');
  expect(await second.line()).toBeNull();
  expect(await serve(['restore', 'web'])).toBe(port);
  const third = await client(port);
  await asks(third, 3);

  // While it sends what nobody reads.
  third.socket.pause();
  third.socket.write(`send ${LARGE_BYTES}\n`);
  served += 1;
  await sleep(300);
  await capture('web', 'sending');
  await killBoth('web');
  third.socket.resume();
  expect(await third.line()).toBeNull();
  expect(await serve(['restore', 'web'])).toBe(port);
  const fourth = await client(port);
  await asks(fourth, 3);

  // The same, and it goes on: not a byte is lost or doubled.
  fourth.socket.pause();
  fourth.socket.write(`send ${LARGE_BYTES}\n`);
  served += 1;
  await sleep(300);
  await capture('web', 'sending on');
  fourth.socket.resume();
  const all = await fourth.line();
  expect([all?.length, all?.replaceAll('x', '')]).toEqual([LARGE_BYTES, '']);
  await asks(fourth, 1);
  fourth.socket.end();
  expect(await fourth.line()).toBeNull();

  // While it waits for a connection; and a stop is as good as a kill.
  await capture('web', 'accepting');
  await killBoth('web');
  expect(await serve(['restore', 'web'])).toBe(port);
  await capture('web', 'accepting again', ['--stop']);
  expect(await serve(['restore', 'web'])).toBe(port);
  const last = await client(port);
  await asks(last, 1);
  expect(await last.ask('quit')).toBe('bye');
  while ((await stasis(['ps', '--json'])).stdout.includes('"web"')) await sleep(POLL_MS);
  const log = await logOf('web');
  expect(log).not.toContain('differs');
  expect(log).toMatch(/ok echo-server\n$/);
  expect(log.match(/connection: \d+ requests, Connection reset/g)).toHaveLength(2);
  process.stdout.write(`sockets: ${served} requests, 4 restores, port ${port} each time\n`);
});

test('a port that is taken is refused by name, and another can take its place', async () => {
  const port = await serve(['run', '--name', 'moved', '--listen', '127.0.0.1:0=web', guest]);
  await capture('moved', 'accepting', ['--stop']);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port: takenPort } = taken.address() as { port: number };
  const there = await stasis(['restore', '--listen', `127.0.0.1:${takenPort}=web`, 'moved']);
  expect(there.status).toBe(125);
  expect(String(there.stderr)).toContain(`can not listen at 127.0.0.1:${takenPort}: it is taken`);
  expect(String(there.stderr)).toMatch(/try: .*--listen OTHER=web/);
  const unnamed = await stasis(['restore', '--listen', '127.0.0.1:0', 'moved']);
  expect(unnamed.status).toBe(125);
  expect(String(unnamed.stderr)).toContain('ERR_RESOURCE_NOT_GRANTED');
  expect(String(unnamed.stderr)).toContain('--listen ADDRESS=web');
  taken.close();
  await once(taken, 'close');
  const other = await serve(['restore', '--listen', `127.0.0.1:${takenPort}=web`, 'moved']);
  expect([other, other === port]).toEqual([takenPort, false]);
  const one = await client(other);
  expect(await one.ask('quit')).toBe('bye');
});

test('addresses of each kind, and what is none', async () => {
  const words = (listen: string) => ['run', '--listen', listen, guest];
  for (const listen of ['localhost:0', '[::1]:0']) {
    const run = stasis(words(listen), {
      talk: async (child) => {
        const [told] = (await once(child.stderr, 'data')) as [Buffer];
        const [, host, port] = /listening on \[?([^\]\n]*?)\]?:(\d+)\n/.exec(String(told))!;
        const socket = connect(Number(port), host!);
        await once(socket, 'connect');
        socket.end('quit\n');
      },
    });
    const { status, stdout } = await run;
    expect({ listen, status, stdout: String(stdout) }).toMatchObject({ listen, status: 0 });
  }
  for (const wrong of [
    '80',
    'x',
    ':80',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:80',
    '[::1%lo]:1',
    '[x]:1',
    'a b:1',
  ]) {
    const { status, stderr } = await stasis(words(wrong));
    expect({ wrong, status, usage: String(stderr).includes('ERR_USAGE') }).toEqual({
      wrong,
      status: 125,
      usage: true,
    });
  }
  const elsewhere = await stasis(words('192.0.2.1:0'));
  expect(elsewhere.status).toBe(125);
  expect(String(elsewhere.stderr)).toContain('it is no address of this machine');
  const twice = await stasis(['run', '--listen', '127.0.0.1:0', '--listen', '127.0.0.1:0', guest]);
  expect(String(twice.stderr)).toContain('Two sockets have the name');
});
