/** The thread of a pause measurement that makes twins, as a cell's main thread does. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { viewSharedControl } from '../src/cell/shared-control.ts';
import { serveTwins } from '../src/cell/twin-service.ts';

const { port, shared, module } = workerData as {
  readonly port: MessagePort;
  readonly shared: SharedArrayBuffer;
  readonly module: SharedArrayBuffer;
};
serveTwins(port, viewSharedControl(shared), new Uint8Array(module));
port.ref();
