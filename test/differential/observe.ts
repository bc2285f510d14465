/** Runs a script on a layer and says what it saw. */
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import type { Calls } from '../../src/wasi/calls.ts';
import { engine } from '../../src/wasm/engine.ts';
import { ALL_CALLS } from './all-calls.ts';
import type { Seen, Step } from './call-script.ts';
import { type LayerName, openLayer } from './layers.ts';

export const SETUP = {
  args: ['program', 'ä', ''],
  env: ['A=1', 'EMPTY=', 'EQ=b'],
  stdin: 'given to the guest',
  guestPath: '/',
};

/** By step: what was seen. There is none after a step that threw. */
export type Observed = Readonly<Record<string, string>>;

/** `onCall` is told the name of every call that is made. */
export function runSteps(
  name: LayerName,
  steps: Readonly<Record<string, Step>>,
  onCall: (name: string) => void = () => {},
): Observed {
  const layer = openLayer(name, SETUP);
  const memory = new engine.Memory({ initial: 2 });
  layer.attach(memory);
  const world = {
    calls: asImported(layer.calls, onCall),
    memory: new GuestMemory(() => memory),
    fds: new Map([['root', layer.root]]),
  };
  const observed: Record<string, string> = {};
  try {
    for (const [label, step] of Object.entries(steps)) {
      const seen = attempt(() => step(world));
      observed[label] = seen;
      if (seen.startsWith('throws')) break;
    }
  } finally {
    layer.close();
  }
  return observed;
}

/** As a guest would see them: what comes back is made an i32, and what is not there says so. */
function asImported(calls: Calls, onCall: (name: string) => void): Calls {
  return Object.fromEntries(
    ALL_CALLS.map((name) => {
      const call = calls[name];
      if (call === undefined) return [name, () => missing(name)];
      return [
        name,
        (...args: unknown[]) => {
          onCall(name);
          return Number(call(...args)) | 0;
        },
      ];
    }),
  );
}

function missing(name: string): never {
  throw new Error(`there is no ${name}`);
}

function attempt(step: () => Seen): string {
  try {
    return step().map(String).join(' ').replaceAll('\0', '␀');
  } catch (error) {
    return `throws ${error instanceof Error ? error.message : String(error)}`;
  }
}
