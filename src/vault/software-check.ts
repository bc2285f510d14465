/**
 * Compares the software that a checkpoint was made with to the software that is here now, field by field.
 *
 * Invariants:
 * 1. A field passes when it is the same, or when the policy accepts the older one and what is here now is
 *    newer. Module, instrumented module, instrumenter, image format and WASI layer have to be the same.
 * 2. A provider's older state passes only if the provider says that it reads that version. Of a provider
 *    in a user's file that was changed, its cell says so, before the guest runs.
 */
import type { ProviderIdentity, SoftwareIdentity, SoftwareNow } from './checkpoint-info.ts';

export type Verdict = 'same' | 'accepted' | 'differs';

export interface FieldComparison {
  /** In words: `image format`, `provider files`. */
  readonly name: string;
  readonly sealed: string;
  readonly now: string;
  readonly verdict: Verdict;
}

export function compareSoftware(sealed: SoftwareIdentity, now: SoftwareNow): FieldComparison[] {
  const { engine = [], host = [] } = now.accept ?? {};
  return [
    same('module', sealed.module, now.module),
    instrumentedModule(sealed, now),
    same('instrumenter', sealed.instrumenter, now.instrumenter),
    accepting('host', sealed.host, now.host, host),
    same('image format', String(sealed.imageFormat), String(now.imageFormat)),
    accepting('engine', sealed.engine, now.engine, engine),
    same('WASI layer', sealed.wasi ?? OWN_LAYER, now.wasi ?? OWN_LAYER),
    ...compareProviders(sealed.providers ?? [], now),
  ];
}

const OWN_LAYER = "the host's own";
const ABSENT = 'none';

function same(name: string, sealed: string, now: string): FieldComparison {
  return { name, sealed, now, verdict: sealed === now ? 'same' : 'differs' };
}

/** Where it was not made yet, the cell makes it and compares. */
function instrumentedModule(sealed: SoftwareIdentity, now: SoftwareNow): FieldComparison {
  const name = 'instrumented module';
  const was = sealed.instrumented ?? 'not known';
  const today = now.instrumented ?? null;
  if (today !== null || sealed.instrumented === undefined) {
    return same(name, was, today ?? was);
  }
  return { name, sealed: was, now: 'to be made', verdict: 'same' };
}

function accepting(
  name: string,
  sealed: string,
  now: string,
  patterns: readonly string[],
): FieldComparison {
  if (sealed === now) return { name, sealed, now, verdict: 'same' };
  const isAccepted = patterns.some((pattern) => fits(sealed, pattern)) && isNewer(now, sealed);
  return { name, sealed, now, verdict: isAccepted ? 'accepted' : 'differs' };
}

/** `*` stands for anything, all else for itself. */
function fits(text: string, pattern: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(text);
}

/** Whether `a` has the higher version: `v8 14.6.202.33-node.18` before `v8 14.10.1-node.2`. */
function isNewer(a: string, b: string): boolean {
  const [as, bs] = [versionOf(a), versionOf(b)];
  if (as.product !== bs.product) return false;
  const length = Math.max(as.numbers.length, bs.numbers.length);
  for (let at = 0; at < length; at++) {
    const [one, other] = [as.numbers[at] ?? 0, bs.numbers[at] ?? 0];
    if (one !== other) return one > other;
  }
  return false;
}

/** A version begins at the first digit that is no part of a name. */
function versionOf(text: string): { readonly product: string; readonly numbers: number[] } {
  const start = text.search(/(?<![a-z])\d/i);
  const numbers = text.slice(start).match(/\d+/g) ?? [];
  return { product: text.slice(0, start), numbers: numbers.map(Number) };
}

function compareProviders(
  sealed: readonly ProviderIdentity[],
  now: SoftwareNow,
): FieldComparison[] {
  const here = now.providers ?? [];
  const own = sealed
    .filter(({ file }) => file === null)
    .map((one) => {
      const today = here.find(({ kind, file }) => file === null && kind === one.kind);
      return compareOwn(one, today ?? null, now);
    });
  // In their order: which of two files offers a function to the guest depends on it.
  const theirs = sealed.filter(({ file }) => file !== null);
  const todays = here.filter(({ file }) => file !== null);
  const count = Math.max(theirs.length, todays.length);
  const files = Array.from({ length: count }, (_, at) =>
    compareFile(theirs[at] ?? null, todays[at] ?? null, now),
  );
  return [...own, ...files];
}

function compareOwn(
  sealed: ProviderIdentity,
  today: ProviderIdentity | null,
  { accept, reads }: SoftwareNow,
): FieldComparison {
  const kind = sealed.kind ?? '';
  const name = `provider ${kind}`;
  const told = { name, sealed: `version ${sealed.version}` };
  if (today === null) return { ...told, now: ABSENT, verdict: 'differs' };
  const now = `version ${today.version}`;
  if (sealed.version === today.version) return { ...told, now, verdict: 'same' };
  const isRead = sealed.version !== null && (reads?.[kind] ?? []).includes(sealed.version);
  const isAccepted = isRead && (accept?.providers ?? []).includes(kind);
  return { ...told, now, verdict: isAccepted ? 'accepted' : 'differs' };
}

function compareFile(
  sealed: ProviderIdentity | null,
  today: ProviderIdentity | null,
  { accept }: SoftwareNow,
): FieldComparison {
  const name = `provider ${(sealed ?? today)?.file}`;
  const told = { name, sealed: fileWords(sealed), now: fileWords(today) };
  if (sealed?.file !== today?.file || sealed === null || today === null) {
    return { ...told, verdict: 'differs' };
  }
  if (sealed.digest === today.digest) return { ...told, verdict: 'same' };
  const isAccepted = sealed.kind !== null && (accept?.providers ?? []).includes(sealed.kind);
  return { ...told, verdict: isAccepted ? 'accepted' : 'differs' };
}

function fileWords(provider: ProviderIdentity | null): string {
  if (provider === null) return ABSENT;
  const { file, kind, version, digest } = provider;
  const what = kind === null ? '' : ` (${kind} version ${version})`;
  return `${file} ${digest}${what}`;
}
