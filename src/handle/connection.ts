/**
 * A connection that a guest accepted, or what is left of one.
 *
 * It can't be carried into another process: there it is *gone*, and every use says so at once
 * (CONNRESET), as if the other side had broken it off. In the process that accepted it, it outlives
 * a checkpoint: a peer must not notice that its server was captured.
 *
 * Invariant: `hostFd` is -1 exactly when the connection is gone or closed; open ones are in `Connections`.
 */
import { closeSync } from 'node:fs';
import type { HandleFacts } from './handle-facts.ts';

export interface ConnectionHandle extends HandleFacts {
  readonly kind: 'connection';
  readonly hostFd: number;
  /** Names it in this process alone; 0 for one that is gone. */
  readonly serial: number;
}

/** The open connections of this process, whether or not a handle stands for them at the moment. */
export class Connections {
  readonly #open = new Map<number, number>();
  #serials = 0;

  /** Takes `hostFd` over; its serial number. */
  add(hostFd: number): number {
    this.#serials += 1;
    this.#open.set(this.#serials, hostFd);
    return this.#serials;
  }

  hostFd(serial: number): number | undefined {
    return this.#open.get(serial);
  }

  close(serial: number): void {
    const hostFd = this.#open.get(serial);
    if (hostFd === undefined) return;
    this.#open.delete(serial);
    closeSync(hostFd);
  }

  closeAll(): void {
    for (const serial of [...this.#open.keys()]) this.close(serial);
  }
}
