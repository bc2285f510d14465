/**
 * Stands in for a cell: speaks the protocol as the test wants it, without a guest. What it does comes
 * in `start.args`.
 */
import { Socket } from 'node:net';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { FrameReader, frameMessage } from '../../src/cell/framing.ts';
import { readHostMessage } from '../../src/cell/message-shapes.ts';
import type { CellMessage, ImageMessage } from '../../src/cell/protocol.ts';

const control = new Socket({ fd: 3, readable: true, writable: true });
const reader = new FrameReader({
  cborBytesMax: 2 ** 20,
  attachmentsMax: 4,
  attachmentBytesMax: 2 ** 24,
});
let images = 0;
let script = '';

function send(message: CellMessage, attachments: Uint8Array[] = []): void {
  for (const part of frameMessage(message as unknown as CborValue, attachments))
    control.write(part);
}

function sendImage(change: Partial<ImageMessage>): void {
  images += 1;
  const image: ImageMessage = {
    type: 'image',
    image: images,
    cause: 'request',
    request: 0,
    head: new Uint8Array([images]),
    memories: [{ sizePages: 1, present: [[0, 1]] }],
    since: null,
    waits: false,
    stop: false,
    logBytes: 0,
    timing: { reachNs: 10, captureNs: 20 },
    ...change,
  };
  send(image, [new Uint8Array(65_536)]);
}

function end(code: number): void {
  send({ type: 'ended', ending: { kind: 'exit', code }, fuel: 5n, calls: 6n, memoryDigest: null });
}

function sendInstrumented(): void {
  send({ type: 'instrumented' }, [new Uint8Array([1, 2]), new Uint8Array([3])]);
}

function begin(): void {
  switch (script) {
    case 'exit':
      end(7);
      return;
    case 'trap':
      send({
        type: 'ended',
        ending: {
          kind: 'trap',
          message: 'bad \u001b[2Jthing',
          stack: {
            frames: [{ func: 1, name: `f\n\u202e${'x'.repeat(300)}`, offset: 9 }],
            more: 2,
            isCut: false,
          },
        },
        fuel: 1n,
        calls: 1n,
        memoryDigest: null,
      });
      return;
    case 'fail':
      send({
        type: 'failed',
        code: 'ERR_NO_ENTRY',
        message: 'no entry\nhere',
        hint: null,
        facts: { wanted: '_start\u0007', list: [1] },
      });
      return;
    case 'fail with a strange code':
      send({ type: 'failed', code: 'toString', message: 'm', hint: 'h', facts: {} });
      return;
    case 'quit':
      process.exitCode = 3;
      control.destroy();
      return;
    case 'die':
      process.kill(process.pid, 'SIGKILL');
      return;
    case 'babble':
      control.write(Buffer.from('this is not a frame at all, whatever it is'));
      return;
    case 'swell': {
      const prefix = Buffer.alloc(16);
      prefix.writeUInt32LE(4, 0);
      prefix.writeUInt32LE(1, 4);
      prefix.writeBigUInt64LE(2n ** 40n, 8);
      control.write(prefix);
      return;
    }
    case 'send an image nobody asked for':
      sendImage({});
      return;
    case 'trigger too often':
      sendImage({ cause: 'trigger' });
      return;
    case 'not wait':
      sendImage({ cause: 'guest', waits: false });
      return;
    case 'ask and wait':
      sendImage({ cause: 'guest', waits: true });
      return;
    case 'ask and end':
      sendImage({ cause: 'guest', waits: true });
      end(0);
      return;
    case 'instrument':
      end(0);
      return;
    case 'instrument late':
      sendInstrumented();
      return;
    default:
      return;
  }
}

control.on('data', (chunk: Uint8Array) => {
  for (const { message } of reader.push(chunk)) {
    const told = readHostMessage(message);
    if (told.type === 'confine') {
      send({ type: 'confined', held: [], tracksWrites: false });
    } else if (told.type === 'start') {
      script = told.args[0] ?? '';
      if (script === 'instrument' || script === 'instrument twice') sendInstrumented();
      if (script === 'instrument twice') sendInstrumented();
      if (script !== 'never start') send({ type: 'started', providers: [] });
      begin();
    } else if (told.type === 'checkpoint') {
      if (script === 'refuse')
        send({ type: 'refused', cause: 'request', request: told.request, why: 'busy\u0007' });
      if (script === 'end instead') end(1);
      if (script === 'serve')
        sendImage({ request: told.request, stop: told.stop, waits: told.stop });
    } else if (told.type === 'equip') {
      send({ type: 'equipped', held: [] });
    } else if (script === 'ask and wait') {
      end(told.failure === null ? 0 : 1);
    } else if (script === 'serve' && told.failure !== null) {
      end(9);
    }
  }
});
control.on('end', () => process.kill(process.pid, 'SIGKILL'));
