/**
 * Twins made in another thread: the guest's end of the port; the other one is `twin-service.ts`.
 *
 * The guest's thread may be in the midst of the guest, so it takes batches out of the port by hand, and
 * waits on a shared word that the other end counts up behind each batch.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { type SharedControl, WORD } from './shared-control.ts';
import type { TwinBatch, TwinOrder, TwinSource } from './twin-orders.ts';

/** What the workshop needs to know of the guest besides its module. Comes with the first order. */
export interface Introduction {
  readonly plan: Uint8Array;
  /** Where bodies begin in the instrumented module. */
  readonly bodyStart: Uint32Array;
}

/** What goes through the port. */
export interface OrderMessage {
  readonly order: TwinOrder;
  readonly introduction: Introduction | null;
}

export class RemoteTwins implements TwinSource {
  readonly makesAhead = true;
  readonly #port: MessagePort;
  readonly #words: SharedControl['words'];
  #introduction: Introduction | null;

  constructor(port: MessagePort, { words }: SharedControl, { plan, bodyStart }: Introduction) {
    this.#port = port;
    this.#words = words;
    this.#introduction = { plan, bodyStart };
  }

  send(order: TwinOrder): void {
    const introduction = this.#introduction;
    this.#introduction = null;
    this.#port.postMessage({ order, introduction } satisfies OrderMessage);
  }

  arrived(): TwinBatch | null {
    return (receiveMessageOnPort(this.#port)?.message as TwinBatch | undefined) ?? null;
  }

  receive(): TwinBatch {
    for (;;) {
      const seen = Atomics.load(this.#words, WORD.twins);
      const batch = this.arrived();
      if (batch !== null) return batch;
      Atomics.wait(this.#words, WORD.twins, seen);
    }
  }
}
