/**
 * The workshop's end of the port at which a guest's thread orders twins (`remote-twins.ts`).
 *
 * The workshop's code is loaded with the first order: a guest that is never stopped needs none of it. A
 * restore needs it at once, so `prepare` loads it ahead.
 */
import type { MessagePort } from 'node:worker_threads';
import type { OrderMessage } from './remote-twins.ts';
import { type SharedControl, WORD, wakeGuest } from './shared-control.ts';
import type { TwinWorkshop } from './twin-workshop.ts';

export interface TwinService {
  prepare(): void;
}

/** Answers the orders that come in at `port`, in their order, for a guest whose own module is `bytes`. */
export function serveTwins(
  port: MessagePort,
  shared: SharedControl,
  bytes: Uint8Array,
): TwinService {
  const { words } = shared;
  let workshop: TwinWorkshop | null = null;

  const answer = async ({ order, introduction }: OrderMessage): Promise<void> => {
    if (introduction !== null) {
      const { openWorkshop } = await import('./twin-workshop.ts');
      workshop = openWorkshop({ ...introduction, bytes });
    }
    port.postMessage(workshop!.make(order));
    Atomics.add(words, WORD.twins, 1);
    Atomics.notify(words, WORD.twins);
    wakeGuest(shared);
  };

  let answered: Promise<void> = Promise.resolve();
  port.on('message', (message: OrderMessage) => {
    answered = answered.then(() => answer(message));
  });
  port.unref();
  return {
    prepare: () => {
      answered = answered.then(async () => {
        await import('./twin-workshop.ts');
      });
    },
  };
}
