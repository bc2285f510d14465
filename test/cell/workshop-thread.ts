/** Twins from another thread, as a cell gets them, except that each batch is waited for. */
import { MessageChannel, Worker } from 'node:worker_threads';
import { afterAll } from 'vitest';
import { RemoteTwins } from '../../src/cell/remote-twins.ts';
import { createSharedControl, viewSharedControl } from '../../src/cell/shared-control.ts';
import type { TwinBatch, TwinOrder, TwinSource } from '../../src/cell/twin-orders.ts';
import { readModule } from '../../src/wasm/module.ts';

const workers: Worker[] = [];
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.terminate()));
});

/** Orders are counted, and those of optimised twins among them. The thread ends with the test file. */
export function workshopThread(
  bytes: Uint8Array,
  { bytes: instrumented, plan }: { readonly bytes: Uint8Array; readonly plan: Uint8Array },
): TwinSource & { orders: number; optimisedOrders: number } {
  const shared = createSharedControl();
  const { port1, port2 } = new MessageChannel();
  const module = new Uint8Array(new SharedArrayBuffer(bytes.length));
  module.set(bytes);
  workers.push(
    new Worker(new URL('./twin-service.ts', import.meta.url), {
      workerData: { port: port1, shared, module: module.buffer },
      transferList: [port1],
    }),
  );
  const { bodyStart } = readModule(instrumented);
  const remote = new RemoteTwins(port2, viewSharedControl(shared), { plan, bodyStart });
  let answered = 0;
  return {
    orders: 0,
    optimisedOrders: 0,
    makesAhead: true,
    send(order: TwinOrder): void {
      this.orders++;
      if (order.optimised) this.optimisedOrders++;
      remote.send(order);
    },
    // Waits for what was ordered, so that the test depends on no machine's speed.
    arrived(): TwinBatch | null {
      return answered < this.orders ? this.receive() : null;
    },
    receive(): TwinBatch {
      answered++;
      return remote.receive();
    },
  };
}
