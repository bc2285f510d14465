/** How stdout and stderr go through a checkpoint: nothing is kept here; the sinks are today's. */
import { FDFLAGS_ALL } from '../abi/flags.ts';
import { RIGHTS_ALL, RIGHTS_OF_OUTPUT } from '../abi/rights.ts';
import { integer, mapOf, oneOf, type ShapeOf } from '../cbor/shape.ts';
import type { OutputSink } from './grants.ts';
import type { OutputHandle } from './output.ts';

export const outputShape = mapOf({
  stream: oneOf('stdout', 'stderr'),
  flags: integer(0, FDFLAGS_ALL),
  rights: integer(0, RIGHTS_ALL),
});

export type OutputState = ShapeOf<typeof outputShape>;

export function captureOutput(output: OutputHandle): OutputState {
  const { stream, flags, rights } = output;
  return { stream, flags, rights };
}

export function rebuildOutput(
  state: OutputState,
  sinks: { readonly stdout: OutputSink; readonly stderr: OutputSink },
): OutputHandle {
  return {
    kind: 'output',
    stream: state.stream,
    sink: sinks[state.stream],
    flags: state.flags,
    rights: state.rights & RIGHTS_OF_OUTPUT,
    rightsInheriting: 0,
  };
}
