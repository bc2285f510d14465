/**
 * Which locals are found to be live at sites, against a reference that goes round each loop until nothing changes.
 */
import { expect, test } from 'vitest';
import { LiveLocals } from '../../src/instrument/live-locals.ts';
import { newChance } from '../e2e/random-source.ts';

type Step =
  | { readonly kind: 'get' | 'set'; readonly local: number }
  | { readonly kind: 'site' | 'leave' }
  | { readonly kind: 'branch' | 'maybe'; readonly depth: number }
  | { readonly kind: 'table'; readonly depths: readonly number[] }
  | { readonly kind: 'block' | 'loop'; readonly body: readonly Step[] }
  | { readonly kind: 'if'; readonly body: readonly Step[]; readonly other: readonly Step[] | null };

type Locals = ReadonlySet<number>;

const PROGRAMS = 3000;
const DEEPEST = 6;

function note(steps: readonly Step[], live: LiveLocals): void {
  for (const step of steps) {
    switch (step.kind) {
      case 'get':
      case 'set':
        live[step.kind](step.local);
        break;
      case 'site':
      case 'leave':
        live[step.kind]();
        break;
      case 'branch':
      case 'maybe':
        live[step.kind](step.depth);
        break;
      case 'table':
        for (const depth of step.depths.slice(1)) live.maybe(depth);
        live.branch(step.depths[0]!);
        break;
      case 'if':
        live.if();
        note(step.body, live);
        if (step.other !== null) {
          live.else();
          note(step.other, live);
        }
        live.end(false);
        break;
      default:
        live[step.kind]();
        note(step.body, live);
        live.end(step.kind === 'loop');
    }
    if (isLast(step)) return;
  }
}

/** What follows such a step can't be reached. */
function isLast({ kind }: Step): boolean {
  return kind === 'branch' || kind === 'table' || kind === 'leave';
}

/** What is live before `steps`; adds to `saved` what is live at sites. `targets`: of labels, outermost first. */
function before(
  steps: readonly Step[],
  after: Locals,
  targets: readonly Locals[],
  saved: Set<number>,
): Locals {
  const target = (depth: number): Locals => targets[targets.length - 1 - depth]!;
  const last = steps.findIndex(isLast);
  let live = after;
  for (const step of (last < 0 ? steps : steps.slice(0, last + 1)).toReversed()) {
    switch (step.kind) {
      case 'get':
        live = new Set([...live, step.local]);
        break;
      case 'set':
        live = new Set([...live].filter((local) => local !== step.local));
        break;
      case 'site':
        for (const local of live) saved.add(local);
        break;
      case 'leave':
        live = new Set();
        break;
      case 'branch':
        live = target(step.depth);
        break;
      case 'maybe':
        live = new Set([...live, ...target(step.depth)]);
        break;
      case 'table':
        live = new Set(step.depths.flatMap((depth) => [...target(depth)]));
        break;
      case 'block':
        live = before(step.body, live, [...targets, live], saved);
        break;
      case 'if': {
        const end = live;
        const inner = [...targets, end];
        const other = before(step.other ?? [], end, inner, saved);
        live = new Set([...before(step.body, end, inner, saved), ...other]);
        break;
      }
      default: {
        let head: Locals = new Set();
        for (;;) {
          const found = before(step.body, live, [...targets, head], new Set());
          if (found.size === head.size) break;
          head = found;
        }
        live = before(step.body, live, [...targets, head], saved);
      }
    }
  }
  return live;
}

function found(steps: readonly Step[], locals: number, bytes = 2 ** 20): readonly number[] {
  const live = new LiveLocals();
  live.clear();
  live.block();
  note(steps, live);
  live.end(false);
  live.solve(locals, bytes);
  return Array.from({ length: locals }, (_, local) => local).filter((local) => live.isSaved(local));
}

test('what is found is what a reference finds', () => {
  const { seed, below } = newChance();
  console.log(`live locals: seed ${seed}`);
  let sites = 0;
  let loops = 0;
  let saved = 0;
  const program = (locals: number, depth: number, size: number): Step[] =>
    Array.from({ length: (depth === 0 ? 20 : 0) + below(size) }, (): Step => {
      const inner = (): Step[] => program(locals, depth + 1, size);
      const kinds = depth < DEEPEST ? 14 : 11;
      switch (below(kinds)) {
        case 0:
        case 1:
        case 2:
          return { kind: 'get', local: below(locals) };
        case 3:
        case 4:
        case 5:
          return { kind: 'set', local: below(locals) };
        case 6:
        case 7:
          sites++;
          return { kind: 'site' };
        case 8:
          return { kind: 'maybe', depth: below(depth + 1) };
        case 9:
          return { kind: 'branch', depth: below(depth + 1) };
        case 10:
          return below(2) === 0
            ? { kind: 'leave' }
            : { kind: 'table', depths: [below(depth + 1), below(depth + 1), below(depth + 1)] };
        case 11:
          loops++;
          return { kind: 'loop', body: inner() };
        case 12:
          return { kind: 'block', body: inner() };
        default:
          return { kind: 'if', body: inner(), other: below(2) === 0 ? inner() : null };
      }
    });
  for (let at = 0; at < PROGRAMS; at++) {
    const locals = 1 + below(70);
    const steps = program(locals, 0, 10);
    const expected = new Set<number>();
    before(steps, new Set(), [new Set()], expected);
    saved += expected.size;
    expect(found(steps, locals)).toStrictEqual([...expected].sort((a, b) => a - b));
  }
  console.log(`live locals: ${PROGRAMS} programs, ${sites} sites, ${loops} loops, ${saved} saved`);
  expect(saved).toBeGreaterThan(PROGRAMS);
});

test('where it would take too long, all are saved', () => {
  let steps: readonly Step[] = [{ kind: 'set', local: 0 }, { kind: 'site' }];
  expect(found(steps, 40)).toStrictEqual([]);
  for (let depth = 0; depth < 100; depth++) steps = [{ kind: 'loop', body: steps }];
  expect(found(steps, 40)).toHaveLength(40);
  const branches: Step[] = Array.from({ length: 5000 }, () => ({ kind: 'maybe', depth: 0 }));
  expect(found(branches, 50_000, 10_000)).toHaveLength(50_000);
});
