/** THREATS case 22: pre-bound and stale sockets, directories of others; and sockets that systemd hands over. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, test } from 'vitest';
import { openDoorSocket } from '../../src/host/door-socket.ts';
import { ROOT } from '../cli/run-cli.ts';
import { ALICE, BOB, DaemonUnderTest, IS_ROOT, MAIN } from './daemon-under-test.ts';

const daemon = new DaemonUnderTest();
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

const place = (path: string, forEverybody = true) =>
  ({ kind: 'path', path, forEverybody }) as const;
const refusal = (code: string) => expect.objectContaining({ code });

/** How a second daemon is refused. */
async function second(words: readonly string[], user = {}, env = {}): Promise<string> {
  const child = spawn(process.execPath, [MAIN, 'daemon', ...words], {
    ...user,
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return text(child.stderr!);
}

describe('the socket of a daemon', () => {
  test('is for everybody to connect to, in a directory for nobody else to change', async () => {
    await daemon.start();
    expect(statSync(daemon.socket).mode & 0o777).toBe(IS_ROOT ? 0o666 : 0o600);
    expect(statSync(join(daemon.socket, '..')).mode & 0o022).toBe(0);
  });

  test('is not taken from a daemon that answers, nor its state', async () => {
    const elsewhere = join(daemon.scratch, 'other-state');
    const other = join(daemon.scratch, 'run', 'other.sock');
    expect(await second(['--socket', daemon.socket, '--state', elsewhere])).toContain(
      'another host, which answers. (ERR_HOST_RUNNING)',
    );
    expect(await second(['--socket', other, '--state', daemon.state])).toContain(
      'Another daemon has this state directory. (ERR_HOST_RUNNING)',
    );
    expect((await daemon.ask(ALICE, ['ps'])).status).toBe(0);
  });

  test('of one that was killed is replaced', async () => {
    await daemon.stop('SIGKILL');
    expect(existsSync(daemon.socket)).toBe(true);
    expect((await daemon.ask(ALICE, ['ps'])).stderr).toContain('ERR_HOST_UNREACHABLE');
    await daemon.start();
    expect((await daemon.ask(ALICE, ['ps'])).status).toBe(0);
  });

  test('does not take the place of anything else', async () => {
    const file = join(daemon.scratch, 'run', 'file');
    writeFileSync(file, 'kept');
    await expect(openDoorSocket(place(file))).rejects.toThrow(refusal('ERR_HOST_RUNNING'));
    expect(statSync(file).size).toBe(4);
    const shared = join(daemon.scratch, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o1777);
    await expect(openDoorSocket(place(join(shared, 's')))).rejects.toThrow(
      refusal('ERR_STATE_ACCESS'),
    );
    await expect(openDoorSocket(place(`/${'x'.repeat(120)}`))).rejects.toThrow(
      refusal('ERR_USAGE'),
    );
    if (!IS_ROOT) return;
    // Another user's, in a directory of root's that is otherwise fine.
    const bound = join(daemon.scratch, 'run', 'bobs');
    const server = createServer().listen(bound);
    servers.push(server);
    await new Promise((resolve) => server.once('listening', resolve));
    chownSync(bound, BOB.uid, BOB.gid);
    await expect(openDoorSocket(place(bound))).rejects.toThrow(refusal('ERR_HOST_RUNNING'));
    expect(existsSync(bound)).toBe(true);
  });

  test("is refused by a client when it is neither root's nor its own", async () => {
    const path = join(daemon.homeOf(ALICE), 'fake.sock');
    rmSync(path, { force: true });
    const words = ['-e', `require('net').createServer().listen(${JSON.stringify(path)})`];
    const fake = spawn(process.execPath, words, { ...(IS_ROOT ? BOB : {}), stdio: 'ignore' });
    try {
      while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
      if (IS_ROOT) chmodSync(path, 0o666);
      if (!IS_ROOT) return;
      const { status, stderr } = await daemon.ask(ALICE, ['--host', path, 'ps']);
      expect(status).toBe(125);
      expect(stderr).toContain('ERR_HOST_UNTRUSTED');
    } finally {
      fake.kill('SIGKILL');
    }
  });

  test.each([
    ['a path that is not absolute', 'here.sock', 'ERR_USAGE'],
    ['an address of the network', 'tcp:127.0.0.1:80', 'ERR_USAGE'],
    ['nothing there', 'unix:/nowhere/at/all.sock', 'ERR_HOST_UNREACHABLE'],
  ])('%s is refused by a client', async (_, address, code) => {
    const { status, stderr } = await daemon.ask(ALICE, ['--host', address, 'ps']);
    expect([status, stderr]).toEqual([125, expect.stringContaining(code)]);
  });
});

describe('what is only for one side', () => {
  test.each([
    ['--restart without a daemon', ['run', '--detach', '--restart', 'README.md'], ''],
    ['--restart in the foreground', ['run', '--restart', 'README.md'], null],
    ['--restart of what is removed', ['run', '-d', '--rm', '--restart', 'README.md'], null],
    ['a policy of the client', ['run', '--policy', '/dev/null', 'README.md'], null],
    ['a verb on a state directory', ['vault', 'verify'], null],
  ])('%s is refused', async (_, words, host) => {
    const env = host === null ? {} : { STASIS_HOST: host };
    const { status, stderr } = await daemon.ask(ALICE, words, { env });
    expect([status, stderr]).toEqual([125, expect.stringContaining('ERR_USAGE')]);
  });

  test('a guest without confinement', async () => {
    const words = ['run', '--confine', 'off', 'guests/build/heap.wasm'];
    const { status, stderr } = await daemon.ask(BOB, words);
    if (IS_ROOT)
      expect([status, stderr]).toEqual([125, expect.stringContaining('ERR_NOT_ALLOWED')]);
    else expect(status).toBe(0);
  });
});

test('a daemon that is not root serves the user that it runs as, and no other', async () => {
  const own = { ...(IS_ROOT ? ALICE : {}) };
  const home = daemon.homeOf(ALICE);
  const socket = join(home, 'run', 'own.sock');
  chmodSync(home, 0o755);
  if (IS_ROOT) chownSync(home, ALICE.uid, ALICE.gid);
  const child = spawn(
    process.execPath,
    [MAIN, 'daemon', '--socket', socket, '--state', join(home, 'own-state')],
    { ...own, cwd: ROOT, env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  try {
    const said = await new Promise<string>((resolve) => {
      child.stderr!.once('data', (part) => resolve(String(part)));
    });
    expect(said).toContain('listening');
    const words = ['--host', socket, 'run', 'guests/build/nqueens.wasm', '4'];
    const hers = await daemon.ask(ALICE, words);
    expect(hers).toMatchObject({ status: 0, stderr: '' });
    expect(hers.stdout).toContain('ok nqueens');
    if (!IS_ROOT) return;
    // The kernel does not let him in; were the socket open to all, the daemon would not.
    expect((await daemon.ask(BOB, words)).stderr).toContain('ERR_HOST_UNREACHABLE');
    for (const path of [socket, join(home, 'run')]) chmodSync(path, 0o777);
    expect((await daemon.ask(BOB, words)).stderr).toMatch(/ERR_(HOST_UNTRUSTED|NOT_SERVED)/);
  } finally {
    child.kill('SIGKILL');
  }
});

describe('with systemd', () => {
  /** As systemd does it: descriptor 3 listens, and its number and whose it is are in the environment. */
  function activated(
    server: Server,
    listenPid: string,
  ): { ended: Promise<string>; stop: () => void } {
    const command = `LISTEN_PID=${listenPid} exec "$0" "$@"`;
    const words = ['-c', command, process.execPath, MAIN, 'daemon'];
    const child = spawn('/bin/sh', [...words, '--state', join(daemon.scratch, 'activated')], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], LISTEN_FDS: '1' },
      stdio: [
        'ignore',
        'ignore',
        'pipe',
        (server as unknown as { _handle: { fd: number } })._handle.fd,
      ],
    });
    return { ended: text(child.stderr!), stop: () => child.kill('SIGTERM') };
  }

  test('a socket that listens already is used', async () => {
    const path = join(daemon.scratch, 'run', 'activated.sock');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    servers.push(server);
    chmodSync(path, 0o666);
    const { ended, stop } = activated(server, '$$');
    // Nobody accepts here any more, but the name and the socket stay: the daemon has them.
    const connections: unknown[] = [];
    server.on('connection', (socket) => connections.push(socket.destroy()));
    server.unref();
    for (let told = ''; !told.includes('ok nqueens'); ) {
      const words = ['--host', path, 'run', 'guests/build/nqueens.wasm', '4'];
      told = (await daemon.ask(ALICE, words)).stdout;
    }
    stop();
    expect(await ended).toMatch(/listening at the socket of systemd[\s\S]*SIGTERM/);
  });

  test("a socket that is another process's is refused", async () => {
    const path = join(daemon.scratch, 'run', 'misled.sock');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    servers.push(server);
    const { ended } = activated(server, '1');
    expect(await ended).toContain('ERR_USAGE');
    // Whose it is goes on accepting there.
    const accepted = once(server, 'connection');
    const client = connect(path);
    const [socket] = (await accepted) as [Socket];
    socket.destroy();
    client.destroy();
    expect(server.address()).toBe(path);
  });
});
