import { existsSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import {
  askHost,
  type ControlRequest,
  type ControlServer,
  controlPath,
  serveControl,
} from '../../src/host/control-socket.ts';
import { placesUnder, preparePlaces } from '../../src/host/places.ts';
import { scratchDirectory } from './scratch.ts';

const scratch = scratchDirectory();
let server: ControlServer | null = null;

afterEach(() => {
  server?.close();
  server = null;
});

async function serve(
  answer: (request: ControlRequest) => Promise<Record<string, number>>,
): Promise<string> {
  const path = join(scratch, 'c.sock');
  server = await serveControl(path, answer);
  return path;
}

describe('the control socket', () => {
  test('carries requests and answers', async () => {
    const asked: ControlRequest[] = [];
    const path = await serve(async (request) => ({ n: asked.push(request) }));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await askHost(path, { ask: 'checkpoint', stop: true })).toEqual({ n: 1 });
    expect(await askHost(path, { ask: 'kill', signal: 'SIGTERM' })).toEqual({ n: 2 });
    expect(asked).toEqual([
      { ask: 'checkpoint', stop: true },
      { ask: 'kill', signal: 'SIGTERM' },
    ]);
  });

  test('carries refusals whole', async () => {
    const path = await serve(async () => {
      throw new HostError('ERR_DISK_FULL', 'Full.', { facts: { a: 1 }, hint: 'delete' });
    });
    await expect(askHost(path, { ask: 'checkpoint', stop: false })).rejects.toMatchObject({
      code: 'ERR_DISK_FULL',
      message: 'Full.',
      facts: { a: 1 },
      hint: 'delete',
    });
  });

  test('takes the place of one that a dead host left, and goes when it is closed', async () => {
    writeFileSync(join(scratch, 'c.sock'), '');
    const path = await serve(async () => ({}));
    expect(await askHost(path, { ask: 'kill', signal: 'SIGINT' })).toEqual({});
    server?.close();
    expect(existsSync(path)).toBe(false);
    await expect(askHost(path, { ask: 'kill', signal: 'SIGINT' })).rejects.toMatchObject({
      code: 'ERR_JOB_NOT_RUNNING',
    });
  });

  test.each([
    ['no JSON', 'hello\n'],
    ['no object', '5\n'],
    ['an unknown request', '{"ask":"sesame"}\n'],
    ['a field of a wrong type', '{"ask":"checkpoint","stop":"yes"}\n'],
    ['a signal that is none', '{"ask":"kill","signal":"../x"}\n'],
    ['a line without end', 'x'.repeat(5000)],
  ])('answers %s with a refusal, and goes on', async (_, sent) => {
    let asked = 0;
    const path = await serve(async () => ({ asked: ++asked }));
    const socket = connect(path);
    socket.write(sent);
    expect(await text(socket)).toContain('"ERR_PROTOCOL"');
    expect(asked).toBe(0);
    expect(await askHost(path, { ask: 'kill', signal: 'SIGINT' })).toEqual({ asked: 1 });
  });

  test('hangs up on who says nothing, or half of it, and on nobody who waits for an answer', async () => {
    const path = join(scratch, 'c.sock');
    const answered = Promise.withResolvers<Record<string, number>>();
    server = await serveControl(path, () => answered.promise, 50);
    const waits = askHost(path, { ask: 'checkpoint', stop: false });
    for (const sent of ['', '{"ask":"ki']) {
      const socket = connect(path);
      if (sent !== '') socket.write(sent);
      expect(await text(socket)).toBe('');
    }
    answered.resolve({ late: 1 });
    expect(await waits).toEqual({ late: 1 });
  });

  test('outlives askers that hang up at once', async () => {
    const path = await serve(async () => ({ fine: 1 }));
    for (let at = 0; at < 20; at += 1) {
      const socket = connect(path);
      socket.on('error', () => {});
      if (at % 2 === 0) socket.write('{"ask":"ki');
      socket.destroy();
    }
    expect(await askHost(path, { ask: 'kill', signal: 'SIGINT' })).toEqual({ fine: 1 });
  });
});

test('a state directory with a long name gets its sockets elsewhere', () => {
  const short = join(scratch, 'short');
  const near = placesUnder(join(scratch, 'h'), short);
  const far = placesUnder(join(scratch, 'x'.repeat(100)), short);
  preparePlaces(near);
  preparePlaces(far);
  expect(controlPath(near, 'job')).toBe(join(scratch, 'h', 'run', 'job.sock'));
  expect(controlPath(far, 'job')).toBe(join(short, 'job.sock'));
  expect(statSync(short).mode & 0o777).toBe(0o700);
});
