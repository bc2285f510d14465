/**
 * Bounds what runs between two polls where neither loop nor recursion is about: functions that each call
 * the next one twice make 2^n calls out of n.
 *
 * The *weight* of a function is the size of its body and of all that it calls before a poll comes, each
 * call counted. Where that is too much, the heaviest callees are made to poll at their entry, and weigh
 * nothing from then on; calls through a table weigh as much as the heaviest function they may reach.
 *
 * Invariants:
 * 1. Callees that don't poll weigh no more than `WEIGHT_MAX` together, those beneath `LIGHT` left out.
 * 2. What is found follows from the edges and their order alone.
 */
import type { Edges } from './call-graph.ts';
import type { ModuleFacts } from './module-facts.ts';

/** Bytes of code: tens of milliseconds, where all of it runs. */
const WEIGHT_MAX = 2 ** 26;
/** Of a function that can't be captured otherwise: a strip-mined loop may call it many times at a stretch. */
const PLAIN_WEIGHT_MAX = WEIGHT_MAX / 256;
/** Callees lighter than this are let be. */
const LIGHT = 256;
/** What a type is taken to weigh before its functions are known, in a cycle that leads through it. */
const TYPE_ASSUMED = WEIGHT_MAX / 1024;

/**
 * Adds entry polls to `polls`. `captured`: 1 by function that may be captured without them.
 *
 * `finished`: all nodes, in the order in which a depth-first walk left them, so that callees come before
 * their callers but for the back edges of cycles, which pass a poll.
 */
export function pollHeavyCallees(
  facts: ModuleFacts,
  { rows, targets }: Edges,
  finished: Uint32Array,
  captured: Uint8Array,
  polls: Uint8Array,
): void {
  const { functions, importedFunctions } = facts;
  const { bodyStart, bodyEnd } = facts.module;
  const weights = new Float64Array(rows.length - 1).fill(TYPE_ASSUMED, functions);

  const together = (node: number): number => {
    let sum = 0;
    for (let i = rows[node]!; i < rows[node + 1]!; i++) sum += weights[targets[i]! >>> 1]!;
    return sum;
  };
  /** Brings the weight of a node down to `bar`. */
  const lighten = (node: number, bar: number): void => {
    if (weights[node]! <= bar) return;
    if (node < functions) {
      polls[node] = 1;
      weights[node] = 0;
      return;
    }
    weights[node] = bar;
    for (let i = rows[node]!; i < rows[node + 1]!; i++) lighten(targets[i]! >>> 1, bar);
  };

  for (const node of finished) {
    if (node >= functions) {
      const bar = weights[node]!;
      let heaviest = 0;
      for (let i = rows[node]!; i < rows[node + 1]!; i++) {
        heaviest = Math.max(heaviest, weights[targets[i]! >>> 1]!);
      }
      weights[node] = heaviest;
      if (bar < TYPE_ASSUMED) lighten(node, bar);
      continue;
    }
    if (node < importedFunctions) continue;
    let sum = together(node);
    for (let bar = WEIGHT_MAX; sum > WEIGHT_MAX && bar >= LIGHT; bar /= 2) {
      for (let i = rows[node]!; i < rows[node + 1]!; i++) lighten(targets[i]! >>> 1, bar);
      sum = together(node);
    }
    const index = node - importedFunctions;
    weights[node] = polls[node] === 1 ? 0 : bodyEnd[index]! - bodyStart[index]! + sum;
    if (captured[node] === 0) lighten(node, PLAIN_WEIGHT_MAX);
  }
}
