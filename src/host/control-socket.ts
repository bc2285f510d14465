/**
 * The control socket of a running job: how another process of the same user asks its host for
 * something. A unix socket in a directory of mode 0700, so the kernel lets nobody else in.
 *
 * One request a connection: a line of JSON of at most REQUEST_BYTES_MAX, answered by a line of JSON. Who has not
 * asked within REQUEST_WITHIN_MS is hung up on.
 *
 *   {"ask":"checkpoint","stop":false}  →  {"done":{"id":…,"sequence":…,"stamp":…,…}}
 *   {"ask":"kill","signal":"SIGTERM"}  →  {"done":{}}   once the end of the run is recorded
 *   {"ask":"suspend"}                 →  {"done":{}}   captured, over, and to go on when its host is back
 *   anything that failed               →  {"failed":{"code":…,"message":…,"hint":…,"facts":{…}}}
 */
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { ERROR_CODES, type ErrorCode } from '../fault/codes.ts';
import { type Facts, HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { claimDirectory, type Places } from './places.ts';

const REQUEST_BYTES_MAX = 4096;
const ANSWER_BYTES_MAX = 65_536;
/** From the connection to the whole of the request. */
const REQUEST_WITHIN_MS = 5000;
/** The smallest limit of the systems we run on is 104, with the NUL. */
const SOCKET_PATH_BYTES_MAX = 100;

export type ControlRequest =
  | { readonly ask: 'checkpoint'; readonly stop: boolean }
  | { readonly ask: 'kill'; readonly signal: string }
  | { readonly ask: 'suspend' };

/** JSON in both directions; what is done is told in plain data. */
export type ControlAnswer = { readonly [key: string]: string | number | boolean | null };

interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
  readonly facts: Facts;
}

export interface ControlServer {
  readonly path: string;
  close(): void;
}

/** Where the socket of a job goes: beside the others, or in the short directory when that is too long. */
export function controlPath(places: Places, job: string): string {
  const beside = join(places.sockets, `${job}.sock`);
  if (Buffer.byteLength(beside) <= SOCKET_PATH_BYTES_MAX) return beside;
  claimDirectory(places.shortSockets);
  return join(places.shortSockets, `${job}.sock`);
}

/** Listens at `path`; a socket that a dead host left there is replaced. Throws ERR_IO. */
export async function serveControl(
  path: string,
  answer: (request: ControlRequest) => Promise<ControlAnswer>,
  requestWithinMs = REQUEST_WITHIN_MS,
): Promise<ControlServer> {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    // Whoever hangs up is not waited for.
    socket.on('error', () => socket.destroy());
    const patience = setTimeout(() => socket.destroy(), requestWithinMs);
    readLine(socket, REQUEST_BYTES_MAX)
      .finally(() => clearTimeout(patience))
      .then((line) => answer(parseRequest(line)))
      .then((done) => socket.end(`${JSON.stringify({ done })}\n`))
      .catch((error: unknown) => {
        if (!(error instanceof HostError)) throw error;
        const { code, message, hint, facts } = error;
        const failed: Failure = { code, message, hint: hint ?? null, facts };
        socket.end(`${JSON.stringify({ failed })}\n`);
      });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(ioFailure('open the control socket', error)));
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return {
    path,
    close: () => {
      server.close();
      rmSync(path, { force: true });
    },
  };
}

/** Asks a job's host. Throws its refusal, or ERR_JOB_NOT_RUNNING when nobody listens. */
export async function askHost(path: string, request: ControlRequest): Promise<ControlAnswer> {
  const socket = connect(path);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.write(`${JSON.stringify(request)}\n`);
    return parseAnswer(await readLine(socket, ANSWER_BYTES_MAX));
  } catch (error) {
    if (error instanceof HostError) throw error;
    const code = errorCode(error);
    throw new HostError('ERR_JOB_NOT_RUNNING', 'The host of the job does not answer.', {
      facts: { system: code },
      cause: error,
    });
  } finally {
    socket.destroy();
  }
}

/** The first line that arrives, without its end. Rejects with ERR_PROTOCOL, ERR_JOB_NOT_RUNNING. */
export function readLine(socket: Socket, bytesMax: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    socket.on('data', (part: Buffer) => {
      bytes += part.length;
      parts.push(part);
      if (bytes > bytesMax) reject(protocolError('a line is too long'));
      else if (part.includes(0x0a)) resolve(Buffer.concat(parts).toString('utf8').split('\n')[0]!);
    });
    const cut = (cause?: unknown) =>
      reject(
        new HostError('ERR_JOB_NOT_RUNNING', 'The other side of the control socket is gone.', {
          cause,
        }),
      );
    socket.once('error', cut);
    socket.once('close', () => cut());
  });
}

function protocolError(why: string): HostError {
  return new HostError('ERR_PROTOCOL', `The control socket was misused: ${why}.`);
}

function parseJson(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below, like everything else that is no request.
  }
  throw protocolError('a line is not a JSON object');
}

function parseRequest(line: string): ControlRequest {
  const fields = parseJson(line);
  const { ask, stop, signal } = fields as { ask?: unknown; stop?: unknown; signal?: unknown };
  if (ask === 'checkpoint' && typeof stop === 'boolean') return { ask, stop };
  if (ask === 'suspend') return { ask };
  if (ask === 'kill' && typeof signal === 'string' && /^SIG[A-Z]{2,8}$/.test(signal)) {
    return { ask, signal };
  }
  throw protocolError('the request is not known');
}

function parseAnswer(line: string): ControlAnswer {
  const { done, failed } = parseJson(line) as { done?: ControlAnswer; failed?: Failure };
  if (failed !== undefined && Object.hasOwn(ERROR_CODES, failed.code)) {
    throw new HostError(failed.code, failed.message, {
      facts: failed.facts,
      ...(failed.hint === null ? {} : { hint: failed.hint }),
    });
  }
  if (done === undefined) throw protocolError('the answer is not known');
  return done;
}
