/**
 * Lets users in: for each connection it asks the kernel who it is, and starts a process, the *attendant*, that
 * serves this one connection with what the doorkeeper knows of its user.
 *
 * Nothing that a client sends is ever looked at here, so nothing that it sends can hurt the process that all
 * users share. A client that sends rubbish, or half a message, or reads nothing, occupies an attendant of its
 * own user's.
 *
 * An attendant is *busy* until it says that it is *settled*: its guest has started, or it follows a log. Of each
 * user so many are busy at once; what comes then waits in that user's queue, and beyond that is refused by
 * ERR_BUSY. Of all users together there are bounds too, and the queues take turns.
 *
 * An attendant has descriptor 3: the connection, and 4: a stream that its order comes on, as one line of JSON,
 * and on which it says `settled`, or `failed` and why.
 *
 * Invariants:
 * 1. Who asks is what the kernel says of the connection.
 * 2. A user's connections never take a place that is another's, unless all places are taken.
 * 3. An attendant outlives the doorkeeper: what it hosts goes on, and the next doorkeeper finds it in the table.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { HostError } from '../fault/host-error.ts';
import { type Peer, socketFd } from '../native/peer.ts';
import type { UserIds } from '../native/user-rights.ts';

export interface DoorLimits {
  /** Of one user. */
  readonly busyMax: number;
  readonly settledMax: number;
  readonly waitingMax: number;
  /** Of all users together. */
  readonly busyOfAllMax: number;
  readonly waitingOfAllMax: number;
}

export const DOOR_LIMITS: DoorLimits = {
  busyMax: 8,
  settledMax: 256,
  waitingMax: 64,
  busyOfAllMax: 64,
  waitingOfAllMax: 512,
};

/** Who was refused is told why for at most so long, and so many at once. */
const REFUSING_MS = 2000;
const REFUSING_MAX = 128;

export interface DoorkeeperOptions {
  readonly server: Server;
  readonly node: string;
  readonly attendant: string;
  readonly limits: DoorLimits;
  readonly peerOf: (socketFd: number) => Peer | null;
  /** Why that user is not served; null: it is. */
  readonly refusalOf: (user: UserIds) => HostError | null;
  /** What an attendant is told of its user; plain data. */
  readonly orderFor: (user: UserIds) => { readonly [key: string]: unknown };
  /** What a client is told that is not served. */
  readonly frameRefusal: (error: HostError) => readonly Uint8Array[];
  /** What became of work that nobody waits for. */
  readonly onWorkFailed: (why: string) => void;
}

export interface Doorkeeper {
  /** Starts an attendant without a connection, for work of that user's; it waits its turn as others do. */
  give(user: UserIds, work: unknown): void;
  /** Lets nobody in any more; resolves when no attendant is busy, or after `withinMs`. */
  close(withinMs: number): Promise<void>;
}

type Errand =
  | { readonly kind: 'client'; readonly socket: Socket }
  | { readonly kind: 'work'; readonly work: unknown };

interface Visitor {
  readonly user: UserIds;
  readonly waiting: Errand[];
  busy: number;
  settled: number;
}

export function keepDoor(options: DoorkeeperOptions): Doorkeeper {
  const { server, limits } = options;
  /** By user id. The order is that of the turns. */
  const visitors = new Map<number, Visitor>();
  let busy = 0;
  let waiting = 0;
  let refusing = 0;
  let closed = false;
  let onIdle: () => void = () => {};

  server.on('connection', (socket) => {
    socket.on('error', () => socket.destroy());
    const peer = options.peerOf(socketFd(socket));
    if (peer === null) {
      socket.destroy();
      return;
    }
    const refusal = closed ? stopping() : (options.refusalOf(peer) ?? crowded(peer));
    if (refusal === null) enqueue(peer, { kind: 'client', socket });
    else refuse(socket, refusal);
  });

  function crowded({ uid }: Peer): HostError | null {
    const own = visitors.get(uid)?.waiting.length ?? 0;
    if (own >= limits.waitingMax) return tooMany('of yours', own);
    return waiting >= limits.waitingOfAllMax ? tooMany('of all users', waiting) : null;
  }

  function refuse(socket: Socket, error: HostError): void {
    if (refusing >= REFUSING_MAX) {
      socket.destroy();
      return;
    }
    refusing += 1;
    // What it sends is thrown away: were it left unread, closing would cut the answer off.
    socket.resume();
    for (const part of options.frameRefusal(error)) socket.write(part);
    socket.end();
    const timer = setTimeout(() => socket.destroy(), REFUSING_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      refusing -= 1;
    });
  }

  function enqueue({ uid, gid }: UserIds, errand: Errand): void {
    let visitor = visitors.get(uid);
    if (visitor === undefined) {
      visitor = { user: { uid, gid }, waiting: [], busy: 0, settled: 0 };
      visitors.set(uid, visitor);
    }
    visitor.waiting.push(errand);
    waiting += 1;
    admit();
  }

  /** Takes from the queues in turn for as long as there is room. */
  function admit(): void {
    for (let found = true; found && busy < limits.busyOfAllMax; ) {
      found = false;
      for (const [uid, visitor] of [...visitors]) {
        if (busy >= limits.busyOfAllMax) return;
        const errand = visitor.busy < limits.busyMax ? visitor.waiting.shift() : undefined;
        if (errand === undefined) continue;
        found = true;
        waiting -= 1;
        // To the end of the order: the others come first next time.
        visitors.delete(uid);
        visitors.set(uid, visitor);
        attend(visitor, errand);
      }
    }
  }

  function attend(visitor: Visitor, errand: Errand): void {
    const maySettle = visitor.busy + visitor.settled < limits.settledMax;
    const child = spawn(options.node, [options.attendant], {
      detached: true,
      stdio: [
        'ignore',
        'ignore',
        'inherit',
        errand.kind === 'client' ? errand.socket : 'ignore',
        'pipe',
      ],
      env: {},
      cwd: '/',
    });
    // The attendant has it now; one that could not be started hangs up.
    if (errand.kind === 'client') errand.socket.destroy();
    visitor.busy += 1;
    busy += 1;
    let isBusy = true;
    const settle = (): void => {
      if (!isBusy) return;
      isBusy = false;
      visitor.busy -= 1;
      busy -= 1;
      visitor.settled += 1;
      admit();
      if (busy === 0) onIdle();
    };
    let isGone = false;
    const gone = (): void => {
      if (isGone) return;
      isGone = true;
      settle();
      visitor.settled -= 1;
      const { waiting: left, busy: still, settled } = visitor;
      if (left.length + still + settled === 0) visitors.delete(visitor.user.uid);
    };
    child.once('error', gone);
    child.once('exit', gone);
    const order = { ...options.orderFor(visitor.user), maySettle, work: workOf(errand) };
    listen(child, order, settle);
  }

  function listen(child: ChildProcess, order: unknown, settle: () => void): void {
    const stream = child.stdio[4] as Socket;
    stream.on('error', () => {});
    stream.write(`${JSON.stringify(order)}\n`);
    createInterface(stream).on('line', (line) => {
      if (line === 'settled') settle();
      else if (line.startsWith('failed ')) options.onWorkFailed(line.slice('failed '.length));
    });
  }

  return {
    give: (user, work) => enqueue(user, { kind: 'work', work }),
    close: async (withinMs) => {
      closed = true;
      server.close();
      for (const visitor of visitors.values()) {
        for (const errand of visitor.waiting.splice(0)) {
          waiting -= 1;
          if (errand.kind === 'client') refuse(errand.socket, stopping());
        }
      }
      if (busy === 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}

function workOf(errand: Errand): unknown {
  return errand.kind === 'work' ? errand.work : null;
}

function tooMany(whose: string, count: number): HostError {
  return new HostError('ERR_BUSY', `Too many requests ${whose} wait at this host.`, {
    facts: { waiting: count },
    hint: 'ask again in a while',
  });
}

function stopping(): HostError {
  return new HostError('ERR_BUSY', 'This host is being stopped.', {
    hint: 'ask again when it is back',
  });
}
