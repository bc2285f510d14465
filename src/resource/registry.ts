/**
 * The providers of one guest, and the order in which they are called around a checkpoint.
 *
 *          quiesce             rebuild
 *   held ──────────▶ released ─────────▶ held
 *     ▲                 │
 *     └── (failure)     └── (failure) ──▶ lost
 *
 * Invariants:
 * 1. A quiesce that fails leaves everything held, as before; if undoing fails too, the state is `lost`.
 * 2. Nothing is called while another round is going on: a callback can't start a round itself.
 * 3. A rebuild takes exactly one state of each provider: none is left out, none is unknown.
 */
import { checkShape } from '../cbor/shape.ts';
import { assert, isBrokenInvariant } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { accessHint, reasonOf } from '../fault/reason.ts';
import { withinDeadline } from './deadline.ts';
import type { GuestAccess, GuestFunction, Provider, ProviderState, Reason } from './provider.ts';

/** Functions by import module, then by name. */
export type ProvidedImports = ReadonlyMap<string, ReadonlyMap<string, GuestFunction>>;

/** Import modules that are the host's own. */
export const HOST_MODULES: readonly string[] = [
  'wasi_snapshot_preview1',
  'wasi_unstable',
  'stasis',
];

/** More than anybody registers; bounds the work on an image that lists them without end. */
export const PROVIDERS_MAX = 256;

export class ProviderRegistry {
  readonly #providers: Provider[] = [];
  #state: 'held' | 'busy' | 'released' | 'lost' = 'held';

  /**
   * Later ones may rely on earlier ones: they are quiesced first and rebuilt last. Throws ERR_PROVIDER
   * for a second one of a kind.
   */
  register(provider: Provider): void {
    assert(this.#state === 'held', 'providers are registered while nothing goes on');
    assert(this.#providers.length < PROVIDERS_MAX, 'there are not that many providers');
    const { kind } = provider;
    if (this.#providers.some((other) => other.kind === kind)) {
      throw new HostError('ERR_PROVIDER', `There are two providers of the kind ${kind}.`, {
        facts: { provider: kind },
        hint: 'each kind has one; give one of them another name',
      });
    }
    this.#providers.push(provider);
  }

  /** Shows the guest to every provider, in order. Throws the first failure. */
  attach(guest: GuestAccess): void {
    assert(this.#state === 'held', 'providers are attached before anything goes on');
    for (const provider of this.#providers) {
      try {
        provider.attach?.(guest);
      } catch (error) {
        throw providerFailure(provider, 'starting', error);
      }
    }
  }

  /** The guest is over: every provider lets go, in reverse order. Gives the first failure. */
  close(): HostError | null {
    let first: HostError | null = null;
    for (const provider of this.#providers.toReversed()) {
      try {
        provider.close?.();
      } catch (error) {
        first ??= providerFailure(provider, 'closing', error);
      }
    }
    return first;
  }

  /**
   * What guests may import from the providers together: by import module, then by name. Throws
   * ERR_PROVIDER when two offer the same, or one offers what is the host's own.
   */
  imports(): ProvidedImports {
    const modules = new Map<string, Map<string, GuestFunction>>();
    for (const { kind, imports = {} } of this.#providers) {
      for (const [module, functions] of Object.entries(imports)) {
        if (HOST_MODULES.includes(module)) throw importTaken(kind, module);
        const all = modules.get(module) ?? new Map<string, GuestFunction>();
        for (const [name, call] of Object.entries(functions)) {
          if (all.has(name)) throw importTaken(kind, `${module}.${name}`);
          all.set(name, call);
        }
        modules.set(module, all);
      }
    }
    return modules;
  }

  /** What is registered, in order. */
  get kinds(): readonly { readonly kind: string; readonly version: number }[] {
    return this.#providers.map(({ kind, version }) => ({ kind, version }));
  }

  /** True when undoing failed: some resources are held, some are not, and the guest can't go on. */
  get isLost(): boolean {
    return this.#state === 'lost';
  }

  /**
   * Prepares and commits every provider and gives their states in order of registration. Rejects with
   * the first failure, after undoing what was done.
   */
  async quiesce(): Promise<readonly ProviderState[]> {
    if (this.#state !== 'held') {
      throw new HostError('ERR_NOT_CAPTURABLE', 'A checkpoint of this guest is going on already.');
    }
    this.#state = 'busy';
    const states = new Map<Provider, ProviderState>();
    const begun: Provider[] = [];
    const committed: Provider[] = [];
    try {
      for (const provider of this.#providers.toReversed()) {
        begun.unshift(provider);
        states.set(provider, await prepared(provider));
      }
      for (const provider of this.#providers.toReversed()) {
        committed.unshift(provider);
        await called(provider, 'letting go', () => provider.commit());
      }
    } catch (failure) {
      await this.#undo(begun, committed, states);
      throw failure;
    }
    this.#state = 'released';
    return this.#providers.map((provider) => states.get(provider)!);
  }

  /**
   * Rebuilds every provider from `states`. Rejects with a HostError: ERR_MALFORMED_IMAGE when the
   * states don't fit the providers, else the first failure of a provider; the guest can't go on then.
   */
  async rebuild(states: readonly ProviderState[], reason: Reason): Promise<void> {
    const isFresh = reason === 'restarted' || reason === 'cloned';
    assert(
      this.#state === (isFresh ? 'held' : 'released'),
      'a rebuild follows a release or a start',
    );
    this.#state = 'busy';
    try {
      const pairs = this.#matched(states);
      for (const [provider, state] of pairs) await rebuilt(provider, state, reason);
      this.#state = 'held';
    } catch (failure) {
      this.#state = 'lost';
      throw failure;
    }
  }

  #matched(states: readonly ProviderState[]): (readonly [Provider, ProviderState])[] {
    const byKind = new Map(states.map((state) => [state.kind, state]));
    const fits =
      byKind.size === states.length &&
      states.length === this.#providers.length &&
      this.#providers.every((provider) => byKind.has(provider.kind));
    if (!fits) {
      throw new HostError(
        'ERR_RESOURCE_NOT_GRANTED',
        'The image was made with other resource providers than this host has.',
        { facts: { here: this.#providers.map((provider) => provider.kind).join(' ') } },
      );
    }
    return this.#providers.map((provider) => [provider, byKind.get(provider.kind)!]);
  }

  async #undo(
    begun: readonly Provider[],
    committed: readonly Provider[],
    states: ReadonlyMap<Provider, ProviderState>,
  ): Promise<void> {
    try {
      for (const provider of begun) {
        const state = states.get(provider);
        if (committed.includes(provider) && state !== undefined) {
          await rebuilt(provider, state, 'aborted');
        } else {
          await called(provider, 'going on without a checkpoint', () => provider.abort());
        }
      }
      this.#state = 'held';
    } catch (cause) {
      this.#state = 'lost';
      throw new HostError(
        'ERR_NOT_CAPTURABLE',
        'A checkpoint failed halfway and could not be undone.',
        { cause, facts: { lost: true } },
      );
    }
  }
}

function importTaken(kind: string, what: string): HostError {
  return new HostError(
    'ERR_PROVIDER',
    `The provider ${kind} offers ${what} to the guest, which is offered already.`,
    { facts: { provider: kind, import: what }, hint: 'give its import module a name of its own' },
  );
}

async function prepared(provider: Provider): Promise<ProviderState> {
  const { kind, version } = provider;
  const state = await called(provider, 'preparing for a checkpoint', () => provider.prepare());
  // Its own shape would refuse it at a restore: better now, while the guest can go on.
  checkShape(provider.shape, state, { what: `state of ${kind}`, code: 'ERR_NOT_CAPTURABLE' });
  return { kind, version, state };
}

async function rebuilt(provider: Provider, image: ProviderState, reason: Reason): Promise<void> {
  const { kind, version } = provider;
  if (image.version !== version && !(provider.reads ?? []).includes(image.version)) {
    throw new HostError(
      'ERR_MALFORMED_IMAGE',
      `The image holds ${kind} in another version than this host can read.`,
      { facts: { kind, version } },
    );
  }
  const state = checkShape(provider.shape, image.state, {
    what: `state of ${kind}`,
    code: 'ERR_MALFORMED_IMAGE',
  });
  await called(provider, 'taking hold again', () =>
    provider.rebuild(state, { reason, version: image.version }),
  );
}

/** What a callback gives. Its failure is a HostError that names the provider and what it was doing. */
async function called<T>(
  provider: Provider,
  doing: string,
  work: () => T | Promise<T>,
): Promise<T> {
  const { kind, deadlineMs } = provider;
  try {
    return await withinDeadline(`The provider ${kind}, ${doing},`, deadlineMs, work);
  } catch (error) {
    throw providerFailure(provider, doing, error);
  }
}

/** A HostError says enough as it is; our own bug is not hidden. */
function providerFailure({ kind }: Provider, doing: string, error: unknown): HostError {
  if (error instanceof HostError) return error;
  if (isBrokenInvariant(error)) throw error;
  return new HostError(
    'ERR_PROVIDER',
    `The provider ${kind} failed while ${doing}: ${reasonOf(error)}.`,
    { cause: error, facts: { provider: kind }, ...accessHint(error) },
  );
}
