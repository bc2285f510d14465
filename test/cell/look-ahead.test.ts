import { describe, expect, test } from 'vitest';
import { CaptureRoom } from '../../src/cell/capture-room.ts';
import { FuelMeter } from '../../src/cell/fuel-meter.ts';
import { GuestInstance, type InstanceOptions } from '../../src/cell/guest-instance.ts';
import { LookAhead } from '../../src/cell/look-ahead.ts';
import { traceStack } from '../../src/cell/stack-trace.ts';
import type { TwinSource } from '../../src/cell/twin-orders.ts';
import { LocalTwins, TwinWorkshop } from '../../src/cell/twin-workshop.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { readFacts } from '../../src/instrument/module-facts.ts';
import { decodePlan, isCaptured } from '../../src/instrument/plan.ts';
import { ByteWriter } from '../../src/wasm/byte-writer.ts';
import { engine } from '../../src/wasm/engine.ts';
import { readModule } from '../../src/wasm/module.ts';
import { V128 } from '../../src/wasm/value-type.ts';
import { writeModule } from '../../src/wasm/writer.ts';
import { moduleBytes } from '../guests/built-modules.ts';
import { Exit, type HostState, hostFunction } from '../instrument/wasi-stand-in.ts';
import { workshopThread } from './workshop-thread.ts';

const PAGE = 65_536;
/** Polls between a checkpoint and the next request. */
const BETWEEN = 5;
const CHECKPOINTS_MAX = 60;

const GUESTS: Readonly<Record<string, { bytes: () => Uint8Array; args: readonly string[] }>> = {
  nqueens: { bytes: () => moduleBytes('nqueens'), args: ['9'] },
  recursion: { bytes: () => moduleBytes('recursion'), args: [] },
  'rust-collections': { bytes: () => moduleBytes('rust-collections'), args: [] },
  simd: { bytes: () => moduleBytes('simd'), args: [] },
  // Its calls look like those of twins, in a batch that there is.
  'a guest named as twins are': {
    bytes: () => named(moduleBytes('nqueens'), 'stasis-twins-1'),
    args: ['9'],
  },
  'a guest with a strange name': {
    bytes: () => named(moduleBytes('nqueens'), 'wasm://wasm/x-0\n: <>'),
    args: ['9'],
  },
};

function named(bytes: Uint8Array, name: string): Uint8Array {
  const subsection = new ByteWriter();
  subsection.name(name);
  const content = new ByteWriter();
  content.u8(0);
  content.u32(subsection.length);
  content.bytes(subsection.view());
  return writeModule(readModule(bytes), {
    keepCustom: (custom) => custom !== 'name',
    addCustom: [{ name: 'name', content: content.finish(), before: undefined }],
  });
}

interface Ended {
  readonly status: number;
  readonly output: string;
  readonly fuel: bigint;
  readonly calls: number;
  /** How often it was stopped, and how often all twins were there then. */
  readonly stopped: number;
  readonly ready: number;
}

/** An instance of `bytes` whose calls are answered by `host`; twins are made in this thread unless said. */
function instanceOf(
  bytes: Uint8Array,
  host: HostState,
  options: Pick<InstanceOptions, 'onPoll' | 'meter'> & { readonly twins: TwinSource | null },
): GuestInstance {
  const module = readModule(bytes);
  const { bytes: instrumented, plan } = instrument(bytes);
  const { bodyStart } = readModule(instrumented);
  const guest: GuestInstance = new GuestInstance({
    module,
    plan,
    compiled: new engine.Module(instrumented),
    imports: module.imports.map((entry) => {
      const type = module.types[entry.kind === 'func' ? entry.typeIndex : -1]!;
      if (type.kind !== 'func') throw new Error('not a function');
      const call = hostFunction(entry, type);
      return (...values: unknown[]): unknown => {
        const result = call(host, () => new DataView(guest.wasiMemory()!.buffer), values);
        host.calls++;
        return result;
      };
    }),
    meter: options.meter,
    memoryPagesMax: 4096,
    tableEntriesMax: 100_000,
    onPoll: options.onPoll,
    twins: options.twins ?? new LocalTwins({ module, plan, bodyStart, compiles: false }),
  });
  return guest;
}

/** Runs a guest; with `source`, stops it again and again where it is ready for that. */
function run(
  bytes: Uint8Array,
  args: readonly string[],
  source: (TwinSource & { orders: number }) | null,
): Ended {
  const host: HostState = { args: ['guest', ...args], output: [], calls: 0 };
  let polls = 0;
  let time = 0;
  let stopped = 0;
  let ready = 0;
  const meter = new FuelMeter({ used: 0n, limit: null, now: () => time++ });
  const guest = instanceOf(bytes, host, {
    meter,
    onPoll: () => {
      polls++;
      if (polls === 1 && stopped === 0) ahead.prepare();
      if (source === null || stopped === CHECKPOINTS_MAX || polls < BETWEEN) return false;
      if (!ahead.isReady()) return false;
      ahead.captured();
      return true;
    },
    twins: source,
  });
  const room = new CaptureRoom({ memories: () => [], spare: () => undefined, order: undefined });
  // A clock that stands still: a guest is stopped when all is ready, and never because it took too long.
  const ahead = new LookAhead(guest.twins, room, () => 0);
  const [entry] = guest.entries('_start', false);
  let outcome = guest.run(entry!);
  while (outcome.kind === 'unwound') {
    stopped++;
    polls = 0;
    const before = source!.orders;
    const goOn = guest.prepareResume(() => undefined);
    if (source!.orders === before) ready++;
    outcome = goOn();
  }
  const exit = outcome.kind === 'threw' ? outcome.error : new Exit(0);
  if (!(exit instanceof Exit)) throw exit;
  return {
    status: exit.status,
    output: host.output.join(''),
    fuel: meter.used,
    calls: host.calls,
    stopped,
    ready,
  };
}

describe('stopped where it is ready', () => {
  for (const [name, { bytes, args }] of Object.entries(GUESTS)) {
    test(name, () => {
      const { stopped: _stopped, ready: _ready, ...whole } = run(bytes(), args, null);
      const { stopped, ready, ...ended } = run(
        bytes(),
        args,
        workshopThread(bytes(), instrument(bytes())),
      );
      console.log(`${name}: stopped ${stopped} times, ${ready} times with all twins there`);
      expect(ended).toStrictEqual(whole);
      expect(stopped).toBeGreaterThan(0);
    });
  }
});

test('a stack trace names places that are on the stack', () => {
  const bytes = moduleBytes('nqueens');
  const module = readModule(bytes);
  const { bytes: instrumented, plan } = instrument(bytes);
  const { bodyStart } = readModule(instrumented);
  const workshop = new TwinWorkshop({ module, plan, bodyStart, compiles: false });
  const host: HostState = { args: ['guest', '8'], output: [], calls: 0 };
  let polls = 0;
  let traced: string[] = [];
  let named = 0;
  let frames = 0;
  const guest = instanceOf(bytes, host, {
    meter: new FuelMeter({ used: 0n, limit: null, now: () => 0 }),
    onPoll: () => {
      if (polls++ > 0) return false;
      const calls = traceStack().filter(({ batch }) => batch === 0);
      const order = { number: 1, places: [], traced: calls, optimised: false, forget: false };
      traced = workshop
        .make(order)
        .found.flatMap(({ place }) => (place === null ? [] : [`${place.func}:${place.site}`]));
      return true;
    },
    twins: null,
  });
  const [entry] = guest.entries('_start', false);
  expect(guest.run(entry!).kind).toBe('unwound');
  const unwound = guest.captureStack().map(({ func, site }) => `${func}:${site}`);
  frames += unwound.length;
  for (const place of traced) {
    expect(unwound).toContain(place);
    named++;
  }
  console.log(`${named} places in the trace of ${frames} frames`);
  expect(named).toBeGreaterThan(0);
});

test('a twin that returns a vector is made, though it can not be called to be compiled', () => {
  const bytes = moduleBytes('simd');
  const module = readModule(bytes);
  const { bytes: instrumented, plan } = instrument(bytes);
  const { bodyStart } = readModule(instrumented);
  const facts = readFacts(module);
  const returning = Array.from(facts.functionType, (type, func) => ({ type, func })).filter(
    ({ type, func }) =>
      facts.typeResults[type]!.includes(V128) &&
      isCaptured(decodePlan(plan, facts.functions, facts.tableType.length), func),
  );
  const workshop = new TwinWorkshop({ module, plan, bodyStart, compiles: true });
  const places = returning.map(({ func }) => ({ func, site: 0 }));
  expect(places.length).toBeGreaterThan(0);
  const { twins, failure } = workshop.make({
    number: 1,
    places,
    traced: [],
    optimised: false,
    forget: false,
  });
  expect(failure).toBeNull();
  expect(twins!.places).toHaveLength(places.length);
});

test('what can not be made is told in the batch', () => {
  const bytes = moduleBytes('nqueens');
  const source = workshopThread(bytes, instrument(bytes));
  const failureOf = (func: number, site: number): string | undefined => {
    source.send({
      number: 1,
      places: [{ func, site }],
      traced: [],
      optimised: false,
      forget: false,
    });
    return source.receive().failure?.code;
  };
  expect(failureOf(9, 0)).toBeUndefined();
  expect(failureOf(9, 100_000)).toBe('ERR_MALFORMED_IMAGE');
  expect(failureOf(0, 0)).toBe('ERR_MALFORMED_IMAGE');
  expect(failureOf(1_000_000, 0)).toBe('ERR_MALFORMED_IMAGE');
});

describe('room for the pages', () => {
  const memory = new Uint8Array(64 * PAGE);
  memory.fill(1, 0, 48 * PAGE);
  const made = (give: (bytes: number) => ArrayBuffer | undefined, view = memory) => {
    const ordered: number[] = [];
    let spare: ArrayBuffer | undefined;
    const room = new CaptureRoom({
      memories: () => [view],
      spare: () => {
        const given = spare;
        spare = undefined;
        return given;
      },
      order: (bytes) => {
        ordered.push(bytes);
        spare = give(bytes);
      },
    });
    return { room, ordered, comeBack: (buffer: ArrayBuffer) => (spare = buffer) };
  };

  test('is ordered once, and large enough', () => {
    const { room, ordered } = made((bytes) => new ArrayBuffer(bytes));
    expect(room.isReady()).toBe(false);
    expect(room.isReady()).toBe(true);
    expect(ordered).toHaveLength(1);
    expect(room.take()!.length).toBeGreaterThanOrEqual(48 * PAGE);
  });

  test('that came back is used again', () => {
    const { room, ordered, comeBack } = made(() => undefined);
    comeBack(new ArrayBuffer(60 * PAGE));
    expect(room.isReady()).toBe(true);
    expect(ordered).toHaveLength(0);
    expect(room.take()!.length).toBe(60 * PAGE);
    expect(room.take()).toBeUndefined();
  });

  test('is done without where there is none to be had', () => {
    const { room } = made(() => new ArrayBuffer(0));
    expect(room.isReady()).toBe(false);
    expect(room.isReady()).toBe(true);
  });

  test('is not worth an order for a guest that uses little', () => {
    const { room, ordered } = made(
      () => undefined,
      new Uint8Array(64 * PAGE).fill(7, 5 * PAGE, 6 * PAGE),
    );
    expect(room.isReady()).toBe(true);
    expect(ordered).toHaveLength(0);
  });
});
