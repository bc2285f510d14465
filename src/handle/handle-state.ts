/**
 * One open handle in an image: its number, its kind and version, and what its kind's `.state` file wrote.
 *
 * Invariants:
 * 1. Every kind has a row here; one that an image names and this host lacks is refused.
 * 2. Numbers are below the limit on handles, each at most once; there is at most one stdin, stdout and
 *    stderr, as in the guest that was captured.
 */
import {
  arrayOf,
  integer,
  mapOf,
  mismatch,
  oneOf,
  type Shape,
  type ShapeOf,
  variantOf,
} from '../cbor/shape.ts';
import type { Reason } from '../resource/provider.ts';
import { captureConnection, connectionShape, rebuildConnection } from './connection.state.ts';
import type { Connections } from './connection.ts';
import { captureDirectory, directoryShape, rebuildDirectory } from './directory.state.ts';
import { closeDirectory } from './directory.ts';
import { captureFile, fileShape, rebuildFile } from './file.state.ts';
import { closeFile } from './file.ts';
import type { OutputSink, StdinSource } from './grants.ts';
import type { Handle } from './handle-table.ts';
import { captureListener, listenerShape, rebuildListener } from './listener.state.ts';
import type { Listener } from './listener.ts';
import { captureOutput, outputShape, rebuildOutput } from './output.state.ts';
import type { Preopen } from './preopens.ts';
import { captureStdin, rebuildStdin, stdinShape } from './stdin.state.ts';
import type { UnnamedFiles } from './unnamed-files.ts';

const fd = integer(0, 65_535);
const version = oneOf(1);

const entryShape = variantOf('kind', {
  file: mapOf({ fd, kind: oneOf('file'), version: oneOf(2), state: fileShape }),
  directory: mapOf({ fd, kind: oneOf('directory'), version: oneOf(2), state: directoryShape }),
  stdin: mapOf({ fd, kind: oneOf('stdin'), version, state: stdinShape }),
  output: mapOf({ fd, kind: oneOf('output'), version, state: outputShape }),
  listener: mapOf({ fd, kind: oneOf('listener'), version, state: listenerShape }),
  connection: mapOf({ fd, kind: oneOf('connection'), version, state: connectionShape }),
});

export type HandleState = ShapeOf<typeof entryShape>;

/** The states of all handles of a guest that may have `handlesMax` of them. */
export function handleStatesShape(handlesMax: number): Shape<readonly HandleState[]> {
  const entries = arrayOf(entryShape, 0, handlesMax);
  return (value) => {
    const states = entries(value);
    const numbers = new Set(states.map((state) => state.fd));
    const streams = states.map((state) =>
      state.kind === 'output' ? state.state.stream : state.kind,
    );
    const once = (stream: string) => streams.filter((other) => other === stream).length <= 1;
    const fits = states.every((state) => state.fd < handlesMax) && numbers.size === states.length;
    if (!fits || !['stdin', 'stdout', 'stderr'].every(once)) throw mismatch('a table of handles');
    return states;
  };
}

/** Throws HostError when the handle can't be captured; nothing is let go. */
export function captureHandle(fd: number, handle: Handle, unnamed: UnnamedFiles): HandleState {
  switch (handle.kind) {
    case 'file':
      return { fd, kind: 'file', version: 2, state: captureFile(handle, unnamed) };
    case 'directory':
      return { fd, kind: 'directory', version: 2, state: captureDirectory(handle) };
    case 'stdin':
      return { fd, kind: 'stdin', version: 1, state: captureStdin(handle) };
    case 'output':
      return { fd, kind: 'output', version: 1, state: captureOutput(handle) };
    case 'listener':
      return { fd, kind: 'listener', version: 1, state: captureListener(handle) };
    case 'connection':
      return { fd, kind: 'connection', version: 1, state: captureConnection(handle) };
  }
}

/**
 * Lets go of what the handle stands for, as far as it can be taken hold of again. Never throws. Sockets
 * stay: they are closed with the process, or by the guest.
 */
export function releaseHandle(handle: Handle): void {
  if (handle.kind === 'file') closeFile(handle);
  else if (handle.kind === 'directory') closeDirectory(handle);
  else if (handle.kind === 'listener') handle.listener.isHeld = false;
}

export interface Holdings {
  readonly preopens: readonly Preopen[];
  readonly unnamed: UnnamedFiles;
  readonly stdin: StdinSource;
  readonly stdout: OutputSink;
  readonly stderr: OutputSink;
  readonly listeners: readonly Listener[];
  readonly connections: Connections;
}

/** Takes hold again below today's grants. Throws HostError ERR_RESOURCE_CHANGED or _NOT_GRANTED. */
export function rebuildHandle(entry: HandleState, holdings: Holdings, reason: Reason): Handle {
  switch (entry.kind) {
    case 'file':
      return rebuildFile(entry.state, holdings);
    case 'directory':
      return rebuildDirectory(entry.state, holdings.preopens);
    case 'stdin':
      return rebuildStdin(entry.state, holdings.stdin, reason);
    case 'output':
      return rebuildOutput(entry.state, holdings);
    case 'listener':
      return rebuildListener(entry.state, holdings.listeners);
    case 'connection':
      return rebuildConnection(entry.state, holdings.connections, reason);
  }
}
