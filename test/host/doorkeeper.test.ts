import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import type { HostError } from '../../src/fault/host-error.ts';
import { type Doorkeeper, type DoorLimits, keepDoor } from '../../src/host/doorkeeper.ts';
import { scratchDirectory } from './scratch.ts';

const ATTENDANT = fileURLToPath(new URL('./standing-attendant.mjs', import.meta.url));
const scratch = scratchDirectory();
const sockets: Socket[] = [];
let served = 0;
let server: Server | null = null;

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server?.close();
});

interface Client {
  readonly socket: Socket;
  /** What the attendant said, or why there is none. */
  readonly first: Promise<string>;
}

/** A door whose clients are users as the test says: each connection is the next one of `uids`. */
async function door(limits: Partial<DoorLimits>) {
  served += 1;
  const path = join(scratch, `door-${served}.sock`);
  const uids: number[] = [];
  const failures: string[] = [];
  server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server!.listen(path, resolve));
  const keeper: Doorkeeper = keepDoor({
    server,
    node: process.execPath,
    attendant: ATTENDANT,
    limits: {
      busyMax: 9,
      settledMax: 9,
      waitingMax: 9,
      busyOfAllMax: 9,
      waitingOfAllMax: 9,
      ...limits,
    },
    peerOf: () => {
      const uid = uids.shift()!;
      return { pid: 1, uid, gid: uid };
    },
    refusalOf: () => null,
    orderFor: ({ uid }) => ({ uid }),
    frameRefusal: ({ code, message }: HostError) => [Buffer.from(`${code} ${message}\n`)],
    onWorkFailed: (why) => failures.push(why),
  });
  /** Resolves when the doorkeeper has seen it. */
  async function come(uid: number): Promise<Client> {
    uids.push(uid);
    const seen = new Promise((resolve) => server!.once('connection', resolve));
    const socket = connect(path);
    socket.on('error', () => {});
    sockets.push(socket);
    const lines = createInterface(socket);
    const first = new Promise<string>((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve('closed'));
    });
    await seen;
    return { socket, first };
  }
  return { keeper, come, failures };
}

test('users take turns when all places are taken, whoever came first with how many', async () => {
  const { come } = await door({ busyOfAllMax: 1 });
  const clients: Client[] = [];
  for (const uid of [1, 1, 1, 2, 3, 2]) clients.push(await come(uid));
  const order: string[] = [];
  for (const { socket, first } of clients) {
    void first.then((line) => {
      order.push(line.split(' ')[0]!);
      socket.write('done');
    });
  }
  await Promise.all(clients.map(({ first }) => first));
  // The first came when there was nobody else, so its turn was before those of the others.
  expect(order).toEqual(['1', '1', '2', '3', '1', '2']);
});

test('a user waits for no place that another could not use', async () => {
  const { come } = await door({ busyMax: 1 });
  const [first, second, other] = [await come(1), await come(1), await come(2)];
  expect(await first.first).toBe('1 true');
  expect(await other.first).toBe('2 true');
  // One that has settled makes room.
  first.socket.write('settle');
  expect(await second.first).toBe('1 true');
});

test('beyond the queue, of one user or of all, ERR_BUSY says so', async () => {
  const { come } = await door({ busyMax: 1, waitingMax: 2, waitingOfAllMax: 3 });
  const mine = [await come(1), await come(1), await come(1), await come(1)];
  expect(await mine[3]!.first).toBe('ERR_BUSY Too many requests of yours wait at this host.');
  const theirs = [await come(2), await come(2), await come(2)];
  expect(await theirs[2]!.first).toBe('ERR_BUSY Too many requests of all users wait at this host.');
  expect(await mine[0]!.first).toBe('1 true');
  expect(await theirs[0]!.first).toBe('2 true');
  for (const { socket } of [...mine, ...theirs]) socket.write('done');
  expect(await mine[1]!.first).toBe('1 true');
  expect(await mine[2]!.first).toBe('1 true');
  expect(await theirs[1]!.first).toBe('2 true');
});

test('who has as many that stay as he may is told so, and still let in', async () => {
  const { come } = await door({ settledMax: 1 });
  const first = await come(1);
  expect(await first.first).toBe('1 true');
  expect(await (await come(1)).first).toBe('1 false');
  expect(await (await come(2)).first).toBe('2 true');
});

test('work that nobody waits for takes its turn, and tells what it failed for', async () => {
  const { keeper, failures } = await door({ busyMax: 1 });
  keeper.give({ uid: 1, gid: 1 }, 'fails');
  keeper.give({ uid: 1, gid: 1 }, 'fails');
  while (failures.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(failures).toEqual(['because', 'because']);
});

test('when it closes, those who wait are told, and those who are served are waited for', async () => {
  const { keeper, come } = await door({ busyMax: 1 });
  const [first, second] = [await come(1), await come(1)];
  expect(await first.first).toBe('1 true');
  let isClosed = false;
  const closed = keeper.close(60_000).then(() => (isClosed = true));
  expect(await second.first).toBe('ERR_BUSY This host is being stopped.');
  expect(isClosed).toBe(false);
  first.socket.write('done');
  await closed;
});
