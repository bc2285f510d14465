/**
 * Entry of the process that serves one connection of a host of several users, or work that its user asked for
 * earlier; started by `../host/doorkeeper.ts`, never by hand.
 */
import { accessSync, constants } from 'node:fs';
import { Socket } from 'node:net';
import { HostError } from '../fault/host-error.ts';
import { errorCode } from '../fault/io-failure.ts';
import { cellProgram } from '../host/cell-command.ts';
import { readLine } from '../host/control-socket.ts';
import { descriptorPost } from '../native/descriptors.ts';
import { actFor, withUserRights } from '../native/user-rights.ts';
import type { AttendantOrder } from './attendant-order.ts';
import { failedTell, frameTell, GREETING_BYTES, GREETING_FDS, greeting } from './door-protocol.ts';
import type { JobAsk } from './host.ts';
import { type HostedJob, hostJob } from './job-host.ts';
import { errorObject } from './report-error.ts';
import { serveAsk } from './serve-ask.ts';
import type { Settings } from './settings.ts';
import { HOST_SIGNALS } from './signals.ts';

const CONNECTION_FD = 3;
const ORDER_FD = 4;
const ORDER_BYTES_MAX = 2 ** 20;
const GREETING_WITHIN_MS = 5000;

const channel = new Socket({ fd: ORDER_FD, readable: true, writable: true });
channel.on('error', () => {});
const order = JSON.parse(await readLine(channel, ORDER_BYTES_MAX)) as AttendantOrder;
// The doorkeeper may end; what is hosted here goes on.
channel.unref();

let job: HostedJob | null = null;
for (const signal of HOST_SIGNALS) {
  process.on(signal, () => {
    if (job === null) process.exit(1);
    job.kill(signal);
  });
}

let told = false;
function settle(): void {
  if (!told) channel.write('settled\n');
  told = true;
}

function host(hosted: HostedJob): void {
  job = hosted;
}

/** Throws ERR_STATE_ACCESS when the user could not run a guest's process anyway. */
function checkReachable({ served }: Settings): void {
  const { node, entry } = cellProgram(process.execPath);
  try {
    withUserRights(() => {
      accessSync(node, constants.X_OK);
      accessSync(entry, constants.R_OK);
    });
  } catch (error) {
    throw new HostError('ERR_STATE_ACCESS', 'Your user may not read the program of this host.', {
      facts: { user: served?.uid ?? null, program: entry, system: errorCode(error) },
      hint: 'whoever runs the host has to install it where everybody may read it',
    });
  }
}

async function serveConnection(): Promise<void> {
  // Before Node reads of the connection: it would drop the descriptors.
  const greeted = descriptorPost()?.receive(CONNECTION_FD, {
    bytesMax: GREETING_BYTES,
    fdsMax: GREETING_FDS,
    timeoutMs: GREETING_WITHIN_MS,
  });
  const socket = new Socket({ fd: CONNECTION_FD, readable: true, writable: true });
  socket.on('error', () => socket.destroy());
  const [input, output, errors] = greeted?.fds ?? [];
  const isRight =
    greeted !== null && greeted !== undefined && Buffer.compare(greeted.bytes, greeting()) === 0;
  if (!isRight || (input !== undefined && errors === undefined)) {
    const refusal = new HostError('ERR_PROTOCOL', 'The client does not speak this protocol.', {
      hint: 'use the client of the same version as the host',
    });
    for (const part of frameTell(failedTell(refusal))) socket.write(part);
    socket.end();
    return;
  }
  await serveAsk({
    settings: order.settings,
    socket,
    stdio: errors === undefined ? null : [input!, output!, errors],
    maySettle: order.maySettle,
    onStart: () => checkReachable(order.settings),
    onSettled: settle,
    onJob: host,
  });
}

async function doWork(ask: JobAsk): Promise<void> {
  try {
    checkReachable(order.settings);
    host(
      await hostJob(
        { ...ask, settings: order.settings },
        { stdio: null, onStarted: settle, onTrouble: () => {} },
      ),
    );
    await job!.ended;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    channel.write(`failed ${JSON.stringify(errorObject(error))}\n`);
  }
}

if (order.settings.served !== null) actFor(order.settings.served);
if (order.work === null) await serveConnection();
else await doWork(order.work);
