/** Lines that are no requests, halves of them and garbage at a job's control socket: it goes on to answer. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { askHost, type ControlRequest, serveControl } from '../../src/host/control-socket.ts';
import { seededRandom } from '../cbor/random-value.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { mutateBytes, pick } from './mutation.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const INPUTS = NIGHTLY ? 50_000 : 1500;
const AT_ONCE = 20;

const REQUESTS: readonly ControlRequest[] = [
  { ask: 'checkpoint', stop: false },
  { ask: 'kill', signal: 'SIGTERM' },
];
const SEEDS = REQUESTS.map((request) => Buffer.from(`${JSON.stringify(request)}\n`));

test(`${INPUTS} changed requests`, async () => {
  const random = seededRandom(SEED);
  const asked: ControlRequest[] = [];
  const server = await serveControl(join(scratchDirectory(), 'control.sock'), async (request) => {
    asked.push(request);
    return { heard: request.ask };
  });
  const answers = new Map<string, number>();
  try {
    for (let sent = 0; sent < INPUTS; sent += AT_ONCE) {
      const inputs = Array.from({ length: AT_ONCE }, () =>
        mutateBytes(random, pick(random, SEEDS), SEEDS),
      );
      for (const answer of await Promise.all(inputs.map((input) => exchange(server.path, input)))) {
        const kind = answer === '' ? 'none' : Object.keys(JSON.parse(answer) as object).join();
        answers.set(kind, (answers.get(kind) ?? 0) + 1);
      }
    }
    expect(await askHost(server.path, REQUESTS[0]!)).toEqual({ heard: 'checkpoint' });
  } finally {
    server.close();
  }
  console.log(
    `fuzz control socket: seed ${SEED}, ${INPUTS} inputs, answers ${JSON.stringify([...answers])}`,
  );
  expect([...answers.keys()].sort()).toEqual(['done', 'failed', 'none']);
  for (const request of asked) {
    // Whatever got through is one of the requests, with nothing in it that was not checked.
    if (request.ask === 'checkpoint') expect(typeof request.stop).toBe('boolean');
    if (request.ask === 'kill') expect(request.signal).toMatch(/^SIG[A-Z]{2,8}$/);
  }
});

/** What comes back until the other side ends; nothing when ours ends before a whole line. */
function exchange(path: string, input: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(path);
    socket.on('data', (part) => {
      text += part.toString();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
    socket.end(input);
  });
}
