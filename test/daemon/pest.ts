/**
 * Run as some user: misuses the socket at `argv[2]` in the way that `argv[3]` names, and prints as one line of
 * JSON what came of it. With `sit`, it stays until it is killed.
 */
import { connect, type Socket } from 'node:net';
import type { encodeCbor } from '../../src/cbor/encode.ts';
import { frameMessage } from '../../src/cell/framing.ts';
import { greeting } from '../../src/cli/door-protocol.ts';

const [, , path, way] = process.argv;

/** Everything that comes until the other side ends; it is not looked into. */
function reply(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.on('error', () => {});
    socket.on('close', () => resolve(Buffer.concat(parts).toString('latin1')));
  });
}

async function send(...bytes: readonly Uint8Array[]): Promise<string> {
  const socket = connect(path!);
  await new Promise((resolve) => socket.once('connect', resolve));
  const answer = reply(socket);
  for (const part of bytes) {
    socket.write(part);
    // A message of its own, as the greeting has to be.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return answer;
}

function code(answer: string): string {
  return /ERR_[A-Z_]+/.exec(answer)?.[0] ?? `hung up after ${answer.length} bytes`;
}

function prefix(cborBytes: number, attachments: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, cborBytes, true);
  new DataView(bytes.buffer).setUint32(4, attachments, true);
  return bytes;
}

const cbor = (value: Parameters<typeof encodeCbor>[0]) => Buffer.concat(frameMessage(value));

if (way === 'rubbish') {
  const nested = Buffer.concat([Buffer.alloc(100_000, 0x81), Buffer.of(0)]);
  const told = {
    'no greeting': await send(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    'another version': await send(Uint8Array.of(83, 84, 68, 82, 9, 0, 0, 0)),
    'a greeting of another length': await send(greeting().subarray(0, 5)),
    'a huge length': await send(greeting(), prefix(0xffff_ffff, 0)),
    attachments: await send(greeting(), prefix(1, 4000)),
    'no CBOR': await send(greeting(), prefix(3, 0), Uint8Array.of(0xff, 0xff, 0xff)),
    'deep CBOR': await send(greeting(), prefix(nested.length, 0), nested),
    'an unknown question': await send(greeting(), cbor({ ask: 'sesame' })),
    'an owner in the question': await send(greeting(), cbor({ ask: 'jobs', owner: 'uid:0' })),
    'a user in the question': await send(greeting(), cbor({ ask: 'jobs', uid: 0, gid: 0 })),
    'a signal first': await send(greeting(), cbor({ ask: 'signal', signal: 'SIGKILL' })),
    'a name of a wrong type': await send(
      greeting(),
      cbor({ ask: 'kill', job: 7, signal: 'SIGKILL' }),
    ),
    'a signal that is none': await send(
      greeting(),
      cbor({ ask: 'kill', job: 'a', signal: 'SIGSTOP' }),
    ),
  };
  const codes = Object.entries(told).map(([name, answer]) => [name, code(answer)]);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(codes))}\n`);
} else if (way === 'crowd') {
  // Connected, and silent: the first ones are let in and waited for, the next ones wait, the rest is refused.
  const answers: Promise<string>[] = [];
  for (let at = 0; at < 1000; at += 1) {
    const socket = connect(path!);
    answers.push(reply(socket));
  }
  const refused = await Promise.all(
    answers.map((answer) =>
      Promise.race([
        answer.then(code),
        new Promise((resolve) => setTimeout(resolve, 3000, 'waits')),
      ]),
    ),
  );
  const counts = Object.groupBy(refused as string[], (word) => word);
  const told = Object.fromEntries(Object.entries(counts).map(([word, all]) => [word, all!.length]));
  process.stdout.write(`${JSON.stringify(told)}\n`);
  setInterval(() => {}, 1000);
} else if (way === 'deaf') {
  // Asks for a log without end, and never reads.
  const socket = connect(path!);
  socket.pause();
  socket.write(greeting());
  setTimeout(() => {
    socket.write(cbor({ ask: 'logs', job: 'long', follow: true }));
    process.stdout.write('"asked"\n');
  }, 50);
  setInterval(() => {}, 1000);
}
