/**
 * Starts a host process that outlives the command that started it.
 *
 * The new process leads a session of its own, its three standard descriptors are the null device, and
 * what it is to do comes over descriptor 3 as one JSON line: neither arguments nor environment, which
 * other users could read. It answers there with one line, `{"started":…}` or `{"failed":…}`, and then
 * closes.
 */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { HostError } from '../fault/host-error.ts';
import { readLine } from './control-socket.ts';

const ORDER_FD = 3;
/** Arguments and environment of a guest; the system's own limit is 2 MiB. */
const ORDER_BYTES_MAX = 16 * 2 ** 20;
const ANSWER_BYTES_MAX = 2 ** 20;

/** Number, in the new process, of the descriptor that it is given besides. */
export const GIVEN_FD = 4;

/**
 * Runs `entry` detached, hands it `order`, and gives back its answer; `given` is a descriptor of this process
 * that it is to have. Throws ERR_CELL_LOST.
 */
export async function startDetached(
  node: string,
  entry: string,
  order: unknown,
  given: number | null,
): Promise<unknown> {
  const child = spawn(node, [entry], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', ...(given === null ? [] : [given])],
    // Of this process's environment it gets nothing: settings are in the order.
    env: {},
    cwd: '/',
  });
  const channel = child.stdio[ORDER_FD] as Socket;
  child.once('error', (cause) => channel.destroy(cause));
  channel.write(`${JSON.stringify(order)}\n`);
  try {
    return JSON.parse(await readLine(channel, ANSWER_BYTES_MAX));
  } catch (cause) {
    throw new HostError('ERR_CELL_LOST', 'The host process of the job ended without a word.', {
      cause,
    });
  } finally {
    channel.destroy();
    child.unref();
  }
}

/** In the detached process: the order, and the way to answer it; only the first answer counts. */
export async function receiveOrder(): Promise<{
  order: unknown;
  answer: (value: unknown) => void;
}> {
  const channel = new Socket({ fd: ORDER_FD, readable: true, writable: true });
  const order: unknown = JSON.parse(await readLine(channel, ORDER_BYTES_MAX));
  // The command may have been interrupted; the job goes on all the same.
  channel.on('error', () => {});
  let answered = false;
  return {
    order,
    answer: (value) => {
      if (!answered) channel.end(`${JSON.stringify(value)}\n`);
      answered = true;
    },
  };
}
