/**
 * A guest from its module's bytes to its end: the guest thread's work.
 *
 *   start ─→ run ─→ returned, exit, trap, limit ─→ ended
 *             ↑ ↓ unwound
 *           checkpoint: quiesce, capture, report, rebuild, make the resume module
 *
 * Invariants:
 * 1. Between quiesce and rebuild nothing of the guest runs and nothing of its is open but its sockets.
 * 2. A checkpoint that can't be made leaves the guest going on as before.
 * 3. A guest that asked for a checkpoint, or stops after one, waits until the image is durable.
 */
import { fstatSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { GuestMemory } from '../abi/guest-memory.ts';
import { HostError } from '../fault/host-error.ts';
import type { CapturedResources, GuestResources } from '../handle/grants.ts';
import { createGuestResources, emptyGuestResources } from '../handle/guest-resources.ts';
import { decodeImageHead, encodeImageHead } from '../image/head.ts';
import { IMAGE_FORMAT, type ImageHead } from '../image/image.ts';
import { partMemories } from '../image/memory-parts.ts';
import { type LimitName, LimitReached } from '../resource/limit-reached.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { WasiEnvironment } from '../wasi/environment.ts';
import { createPreview1, createSnapshot0 } from '../wasi/preview1.ts';
import type { WasmerLayer } from '../wasi/wasmer-layer.ts';
import { CaptureRoom } from './capture-room.ts';
import { FuelMeter } from './fuel-meter.ts';
import { digestOf, endingOf } from './guest-ending.ts';
import { type GuestStdin, giveGrants } from './guest-grants.ts';
import { GuestInstance, InstantiationTrap, type Outcome } from './guest-instance.ts';
import { createGuestPause } from './guest-pause.ts';
import type { GuestWorld } from './guest-world.ts';
import { HostCalls, type HostFunction } from './host-calls.ts';
import { checkImports, importFinder } from './import-finder.ts';
import { type LoadedModule, loadModule } from './loaded-module.ts';
import { LookAhead } from './look-ahead.ts';
import { type CapturedChanges, PageCapture } from './page-capture.ts';
import type { Ending, ImageMessage, StartedMessage, StartMessage } from './protocol.ts';
import { type CaptureCause, SafepointGate } from './safepoint-gate.ts';
import { secretCalls } from './secret-calls.ts';
import { nowUs, WORD } from './shared-control.ts';
import { StackReplacement } from './stack-replacement.ts';
import type { TwinSource } from './twin-orders.ts';

const NS_A_MS = 1e6;
const NS_A_US = 1e3;

/** Runs a guest to its end, and reports everything on the way; throws what the cell can't do. */
export async function runGuest(
  world: GuestWorld,
  start: StartMessage,
  attachments: readonly Uint8Array[],
): Promise<void> {
  let guest: Guest;
  try {
    guest = await Guest.create(world, start, attachments);
  } catch (error) {
    if (!(error instanceof LimitReached || error instanceof InstantiationTrap)) throw error;
    world.report({
      type: 'ended',
      ending: endingOf(error),
      fuel: 0n,
      calls: 0n,
      memoryDigest: null,
    });
    return;
  }
  world.report({ type: 'started', providers: guest.providers });
  await guest.runToEnd();
}

class Guest {
  readonly #world: GuestWorld;
  readonly #start: StartMessage;
  readonly #loaded: LoadedModule;
  readonly #meter: FuelMeter;
  readonly #gate: SafepointGate;
  readonly #calls: HostCalls;
  readonly #instance: GuestInstance;
  readonly #room: CaptureRoom;
  readonly #pages: PageCapture;
  readonly #lookAhead: LookAhead;
  /** Null: running calls stay as they are. */
  readonly #replacement: StackReplacement | null;
  /** Found before the guest counts as started: a module without them can't run. */
  #entries: ReturnType<GuestInstance['entries']> = [];
  readonly #resources: GuestResources;
  readonly #restored: boolean;
  /** Null: our own. */
  readonly #layer: WasmerLayer | null;
  #images = 0;
  /** Checkpoints that the guest asked for itself. */
  #asked = 0;
  readonly #environment: WasiEnvironment;
  /** What `stasis.checkpoint` answers when its call is made again after the capture. */
  #answer: number;

  private constructor(parts: GuestParts) {
    const { world, start, loaded, resources, layer, head } = parts;
    this.#world = world;
    this.#start = start;
    this.#loaded = loaded;
    this.#resources = resources;
    this.#restored = head !== null;
    this.#layer = layer;
    this.#answer = head === null ? ANSWER_MADE : ANSWER_RESTARTED;
    const used = head?.counters.fuel ?? 0n;
    const calls = Number(head?.counters.calls ?? 0n);
    this.#meter = new FuelMeter({ used, limit: start.limits.fuel, now: world.nowMs });
    const lookAhead = {
      isReady: () => this.#lookAhead.isReady(),
      prepare: () => this.#lookAhead.prepare(),
      captured: () => this.#lookAhead.captured(),
    };
    this.#gate = new SafepointGate(world.shared, this.#meter, start.triggers, calls, lookAhead);
    this.#environment = this.#makeEnvironment(parts.stdin);
    const preview1 = layer?.calls(this.#environment) ?? createPreview1(this.#environment);
    // The other layer is shown the later snapshot only.
    const snapshot0 = layer === null ? createSnapshot0(this.#environment) : {};
    const find = importFinder({
      preview1: preview1 as unknown as Record<string, HostFunction>,
      snapshot0: snapshot0 as unknown as Record<string, HostFunction>,
      stasis: {
        ...secretCalls(this.#environment.memory, resources.secrets),
        checkpoint: () => this.#checkpointCall(),
        generation: (result) => this.#generationCall(result as number),
      },
      provided: resources.imports,
      trapUnknown: start.trapUnknownImports,
    });
    checkImports(loaded.module.imports, loaded.module.types, find);
    const onLimit =
      start.limits.onLimit === 'end'
        ? undefined
        : (limit: LimitName): void => this.#gate.limitReached(limit);
    this.#calls = new HostCalls({
      onLimit,
      imports: loaded.module.imports,
      find,
      provided: resources.imports,
      types: loaded.module.types,
      gate: this.#gate,
      calls,
      environment: this.#environment,
      unwinding: () => this.#instance.unwinding(),
    });
    this.#instance = new GuestInstance({
      ...loaded,
      imports: this.#calls.functions,
      meter: this.#meter,
      memoryPagesMax: start.limits.memoryPages,
      tableEntriesMax: start.limits.tableEntries,
      onLimit,
      onPoll: () => this.#gate.atPoll() || this.#replacement?.atPoll() === true,
      twins: parts.twins,
    });
    this.#pages = new PageCapture(world.writeWatch ?? (() => null));
    this.#room = new CaptureRoom({
      memories: () => this.#instance.memories(),
      expectedBytes: () => this.#pages.expectedBytes(this.#memories()),
      spare: () => this.#spareBuffer(),
      order: world.wishBuffer,
    });
    const { twins } = this.#instance;
    this.#lookAhead = new LookAhead(twins, this.#room, world.nowMs);
    const { bodyStart, module } = loaded;
    const ownBodies = module.bodyStart.length;
    this.#replacement = start.osr
      ? new StackReplacement({ twins, bodyStart, ownBodies, nowMs: world.nowMs })
      : null;
  }

  /** Ready to run, or where `head` was captured. Providers may write to the memory that is put in place. */
  async #enter(head: ImageHead | null, pages: Uint8Array): Promise<void> {
    const { memory, pause, clock } = this.#environment;
    const instance = this.#instance;
    const layer = this.#layer;
    const image = head === null ? null : partMemories(head.memories, pages, layer === null ? 0 : 1);
    if (head !== null && image !== null) {
      instance.restoreMemory(image.own.memories, image.own.pages);
      instance.restoreTables(head.tables);
      instance.restoreGlobals(head.globals);
    }
    this.#resources.attach({ memory, pause, clock });
    layer?.attach(instance.wasiMemory(), head === null ? this.#start.preopens : []);
    if (head !== null && image !== null) {
      await this.#resources.rebuild(head, this.#start.reason);
      layer?.goBackTo(image.beside.memories[0]!, image.beside.pages);
      instance.restoreStack(head.stack.frames);
      this.#calls.restorePending(head.stack.pending);
    }
    this.#entries = instance.entries(this.#start.invoke, this.#restored);
  }

  static async create(
    world: GuestWorld,
    start: StartMessage,
    attachments: readonly Uint8Array[],
  ): Promise<Guest> {
    const loaded = await loadModule(start, attachments, world.report);
    const head = start.restore === null ? null : decodeImageHead(start.restore);
    const pages = head === null ? NO_PAGES : attachments[attachments.length - 1]!;
    const layer = start.wasi === 'wasmer' ? await wasmerLayer(world, start) : null;
    const { grants, stdin } = await giveGrants(world, start, loaded.module.imports, layer);
    const twins = world.twins?.(loaded) ?? (await localTwins(loaded));
    const resources = head === null ? createGuestResources(grants) : emptyGuestResources(grants);
    try {
      const guest = new Guest({ world, start, loaded, resources, stdin, layer, twins, head });
      await guest.#enter(head, pages);
      return guest;
    } catch (error) {
      resources.close();
      throw error;
    }
  }

  #makeEnvironment(stdin: GuestStdin): WasiEnvironment {
    const { shared, random } = this.#world;
    const { handles, connections, clock, secrets } = this.#resources;
    const encoder = new TextEncoder();
    return {
      memory: new GuestMemory(() => this.#instance.wasiMemory() ?? NO_MEMORY),
      args: this.#start.args.map((arg) => encoder.encode(arg)),
      env: this.#start.env.map((entry) => encoder.encode(entry)),
      secrets,
      handles,
      connections,
      native: this.#world.native,
      clock,
      random,
      randomBytesMax: this.#start.limits.randomCallBytes,
      pause: createGuestPause({
        shared,
        clock,
        isRequested: () => this.#gate.isDue,
        stdin,
        native: this.#world.native,
      }),
      progress: null,
    };
  }

  get providers(): StartedMessage['providers'] {
    return this.#resources.kinds;
  }

  // — running —

  async runToEnd(): Promise<void> {
    let ending: Ending;
    try {
      ending = await this.#run();
    } catch (error) {
      this.#resources.close();
      throw error;
    }
    // What a provider could not put away may be lost: its user must know.
    const failure = this.#resources.close();
    if (failure !== null) throw failure;
    this.#world.report({
      type: 'ended',
      ending,
      fuel: this.#meter.used,
      calls: BigInt(this.#calls.calls),
      memoryDigest: this.#start.digestMemory ? digestOf(this.#instance.memories()) : null,
    });
  }

  async #run(): Promise<Ending> {
    let next = 0;
    let outcome: Outcome = this.#restored
      ? this.#instance.prepareResume(this.#calls.complete)()
      : { kind: 'returned' };
    for (;;) {
      if (outcome.kind === 'threw') return await this.#endingOf(outcome.error);
      if (outcome.kind === 'returned') {
        const entry = this.#entries[next++];
        if (entry === undefined) return { kind: 'exit', code: 0 };
        outcome = this.#instance.run(entry);
      } else {
        this.#calls.throwFailure();
        const cause = this.#gate.takeCause();
        if (cause === null) {
          outcome = this.#instance.prepareResume(this.#calls.complete)();
          continue;
        }
        const goOn = await this.#checkpoint(cause);
        if (cause.limit !== null) return { kind: 'limit', limit: cause.limit };
        if (goOn === null) return { kind: 'checkpointed' };
        outcome = goOn();
      }
    }
  }

  async #endingOf(error: unknown): Promise<Ending> {
    const ending = endingOf(error);
    if (ending.kind !== 'trap' || !(error instanceof Error)) return ending;
    const { trapStack } = await import('./trap-stack.ts');
    const stack = trapStack(error, this.#loaded, this.#instance.twins);
    return stack === null ? ending : { ...ending, stack };
  }

  /** `stasis.checkpoint`: captured when it is first made, answered when it is made again. */
  #checkpointCall(): number {
    const environment = this.#environment;
    if (environment.progress === ASKED) {
      environment.progress = null;
      return this.#answer;
    }
    if (this.#asked >= this.#start.limits.checkpoints) throw new LimitReached('checkpoints');
    this.#asked += 1;
    environment.progress = ASKED;
    this.#gate.askedByGuest();
    return INTERRUPTED;
  }

  /** `stasis.generation`: writes a u64. FAULT: it does not lie within memory. */
  #generationCall(result: number): number {
    const { memory } = this.#environment;
    if (!memory.holds(result, 8)) return ERRNO.FAULT;
    memory.view.setBigUint64(result >>> 0, this.#resources.generation(), true);
    return ERRNO.SUCCESS;
  }

  /** Makes a checkpoint of the unwound guest. Returns how it goes on, or null when it stops here. */
  async #checkpoint(cause: CaptureCause): Promise<(() => Outcome) | null> {
    const world = this.#world;
    const beganMs = world.nowMs();
    const reachNs = cause.request === 0 ? 0 : this.#sinceRequestNs();
    const waits = cause.cause === 'guest' || cause.stop;
    let image: Capture;
    try {
      image = await this.#capture(cause.stop);
    } catch (error) {
      if (!(error instanceof HostError) || this.#resources.isLost) throw error;
      const { cause: name, request } = cause;
      world.report({ type: 'refused', cause: name, request, why: error.message });
      this.#answer = -ERRNO.PERM;
      return this.#instance.prepareResume(this.#calls.complete);
    }
    const resumed = waits ? null : await this.#tryResume();
    if (resumed instanceof Error) {
      // The image is whole: the guest can be restored from it when the resource is there again.
      this.#report(image, cause, false, { reachNs, captureNs: 0 });
      throw resumed;
    }
    const goOn = waits ? null : this.#instance.prepareResume(this.#calls.complete);
    this.#report(image, cause, waits, {
      reachNs,
      captureNs: Math.round((world.nowMs() - beganMs) * NS_A_MS),
    });
    if (goOn !== null) return goOn;
    const { failure } = await world.sealed(this.#images);
    if (failure === null && cause.stop) return null;
    await this.#resources.resume(failure === null ? 'resumed' : 'aborted');
    this.#answer = failure === null ? ANSWER_MADE : -ERRNO.IO;
    return this.#instance.prepareResume(this.#calls.complete);
  }

  /** Takes hold of everything again; gives why that is impossible. */
  async #tryResume(): Promise<HostError | null> {
    try {
      await this.#resources.resume('resumed');
      return null;
    } catch (error) {
      if (error instanceof HostError) return error;
      throw error;
    }
  }

  async #capture(isLast: boolean): Promise<Capture> {
    const instance = this.#instance;
    const frames = instance.captureStack();
    const globals = instance.captureGlobals();
    const tables = instance.captureTables();
    const resources = await this.#resources.quiesce();
    try {
      return this.#imageOf({ frames, globals, tables, resources }, isLast);
    } catch (error) {
      await this.#resources.resume('aborted');
      throw error;
    }
  }

  /** Those that go into an image: another layer's behind the guest's own. */
  #memories(): readonly Uint8Array[] {
    const own = this.#instance.memories();
    return this.#layer === null ? own : [...own, this.#layer.memory];
  }

  /** A buffer for the next capture's bytes, when there is one. */
  #spareBuffer(): ArrayBuffer | undefined {
    for (;;) {
      const spare = this.#world.spareBuffer();
      if (spare === undefined) return undefined;
      const { image, buffer } = spare;
      if (image === null || !this.#pages.takeBack(image, buffer)) return buffer;
    }
  }

  #imageOf(
    parts: {
      readonly frames: ImageHead['stack']['frames'];
      readonly globals: ImageHead['globals'];
      readonly tables: ImageHead['tables'];
      readonly resources: CapturedResources;
    },
    isLast: boolean,
  ): Capture {
    const { frames, globals, tables, resources } = parts;
    const logFd = this.#start.logFd;
    const source = {
      memories: this.#memories(),
      blank: this.#resources.secrets.regions,
      blankIn: this.#instance.wasiMemoryIndex,
    };
    const captured = this.#pages.capture(source, this.#room.take(), isLast);
    const { memories } = captured;
    const head = encodeImageHead({
      format: IMAGE_FORMAT,
      stack: { frames, pending: this.#calls.pendingCall() },
      memories,
      globals,
      tables,
      counters: { fuel: this.#meter.used, calls: BigInt(this.#calls.calls) },
      ...resources,
    });
    return { head, captured, logBytes: logFd === null ? 0 : fstatSync(logFd).size };
  }

  #sinceRequestNs(): number {
    const asked = Atomics.load(this.#world.shared.words, WORD.requestUs);
    return ((nowUs(this.#world.clock) - asked) >>> 0) * NS_A_US;
  }

  #report(
    image: Capture,
    cause: CaptureCause,
    waits: boolean,
    timing: ImageMessage['timing'],
  ): void {
    const { captured } = image;
    this.#images++;
    this.#world.report(
      {
        type: 'image',
        image: this.#images,
        cause: cause.cause,
        request: cause.request,
        head: image.head,
        memories: captured.memories,
        since: captured.runs === null ? null : this.#images - 1,
        waits,
        stop: cause.stop,
        logBytes: image.logBytes,
        timing,
      },
      captured.runs === null ? [captured.bytes] : [captured.bytes, captured.runs],
    );
    this.#pages.givenAway(this.#images, captured);
  }
}

interface GuestParts {
  readonly world: GuestWorld;
  readonly start: StartMessage;
  readonly loaded: LoadedModule;
  readonly resources: GuestResources;
  readonly stdin: GuestStdin;
  readonly layer: WasmerLayer | null;
  readonly twins: TwinSource;
  readonly head: ImageHead | null;
}

interface Capture {
  readonly head: Uint8Array;
  readonly captured: CapturedChanges;
  readonly logBytes: number;
}

/** Progress of `stasis.checkpoint` once the guest was captured for it. */
const ASKED = 'asked';
const ANSWER_MADE = 0;
const ANSWER_RESTARTED = 1;
const NO_PAGES = new Uint8Array(0);
const NO_MEMORY = { buffer: new ArrayBuffer(0) };

/** The package is large, and few guests run on it. */
async function wasmerLayer(
  { clock }: GuestWorld,
  { args, env, limits }: StartMessage,
): Promise<WasmerLayer> {
  const { WasmerLayer } = await import('../wasi/wasmer-layer.ts');
  const { memoryPages: memoryPagesMax } = limits;
  return new WasmerLayer({ args, env, realtimeNs: () => clock.realtimeNs(), memoryPagesMax });
}

async function localTwins({ module, plan, bodyStart }: LoadedModule): Promise<TwinSource> {
  const { LocalTwins } = await import('./twin-workshop.ts');
  return new LocalTwins({ module, plan, bodyStart, compiles: false });
}
