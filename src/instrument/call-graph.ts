/**
 * The look at every function that comes before the pass: who calls whom, and where there are loops.
 *
 * Two questions are answered here.
 *
 * *Which functions may be on a captured stack?* Those that have a loop or an entry poll, call the host,
 * call through a table, or call such a function.
 *
 * *Which functions poll at their entry?* Every cycle of calls must pass a poll. A depth-first walk finds
 * for each cycle a back edge; the function it leads to polls, or the one it comes from when it goes
 * through a table. A function whose every call within its cycle stands inside a loop needs none: the
 * loop's head polls before each of those calls.
 *
 * Beside cycles, trees of calls without loops can be as long as one likes: see `call-weight.ts`.
 *
 * Calls through a table are edges to a node for the type, which has an edge to every function of that
 * type whose reference may be in a table.
 */
import { HostError } from '../fault/host-error.ts';
import { skipImmediates } from '../wasm/decode.ts';
import { readU32At, skipLeb } from '../wasm/leb.ts';
import { featureOf, opcodeName, PREFIX_BASE } from '../wasm/opcodes.ts';
import { pollHeavyCallees } from './call-weight.ts';
import { GrowingU32 } from './growing-array.ts';
import { type ModuleFacts, skipLocals } from './module-facts.ts';
import * as kind from './op-class.ts';
import { flagsFor, type HelperSpec, helperKey, type ModulePlan } from './plan.ts';

/** Calls by caller, in compressed rows: the calls of `node` are `targets[rows[node] … rows[node + 1]]`. */
export interface Edges {
  readonly rows: Uint32Array;
  /** Twice the callee's node, plus 1 where the call stands inside a loop. */
  readonly targets: Uint32Array;
}

/** Plans a module: walks all its code once. Refuses instructions that the pass can't carry, by name. */
export function planModule(facts: ModuleFacts): ModulePlan {
  const survey = surveyCode(facts);
  const edges = withTypeNodes(facts, survey);
  const { polls: entryPoll, finished } = findEntryPolls(facts, edges);
  const withoutHeavy = spreadCaptured(facts, edges, survey.begins, entryPoll);
  pollHeavyCallees(facts, edges, finished, withoutHeavy, entryPoll);
  const captured = spreadCaptured(facts, edges, survey.begins, entryPoll);
  const flags = new Uint8Array(facts.functions);
  for (let func = 0; func < facts.functions; func++) {
    flags[func] = flagsFor(captured[func] === 1, entryPoll[func] === 1);
  }
  return { flags, helpers: survey.helpers, changedTables: survey.changedTables };
}

interface Survey {
  readonly rows: GrowingU32;
  readonly targets: GrowingU32;
  /** By function: 1 where it can be captured by itself (imports, loops, calls through tables). */
  readonly begins: Uint8Array;
  /** Functions whose reference is taken by an instruction. */
  readonly referenced: GrowingU32;
  readonly helpers: readonly HelperSpec[];
  readonly changedTables: Uint8Array;
}

/** Nodes: functions first, then one for each type. */
function surveyCode(facts: ModuleFacts): Survey {
  const { bytes, bodyStart, bodyEnd } = facts.module;
  const rows = new GrowingU32(facts.functions + 1);
  const targets = new GrowingU32(4096);
  const begins = new Uint8Array(facts.functions).fill(1, 0, facts.importedFunctions);
  const referenced = new GrowingU32(64);
  const helpers = new Map<number, HelperSpec>();
  const changedTables = new Uint8Array(facts.tableType.length);
  for (let func = 0; func < facts.importedFunctions; func++) rows.push(0);
  let isLoop = new Uint8Array(1024);

  for (let index = 0; index < bodyStart.length; index++) {
    const func = facts.importedFunctions + index;
    const end = bodyEnd[index]!;
    rows.push(targets.length);
    let at = skipLocals(bytes, bodyStart[index]!);
    let depth = 0;
    let loops = 0;
    while (at < end) {
      const start = at;
      let op = bytes[at++]!;
      if (op >= 0xfb) {
        const base = PREFIX_BASE[op as keyof typeof PREFIX_BASE];
        op = base === undefined ? op : base + readU32At(bytes, at);
        at = skipLeb(bytes, at);
      }
      const opClass = kind.CLASS[op] ?? kind.UNKNOWN;
      if (opClass >= kind.REFUSED) throw refuse(opClass, op, func, start);
      if (opClass !== kind.PLAIN && opClass !== kind.LOCAL_GET) {
        switch (opClass) {
          case kind.LOOP:
          case kind.BLOCK:
          case kind.IF:
            if (depth === isLoop.length) {
              const deeper = new Uint8Array(depth * 2);
              deeper.set(isLoop);
              isLoop = deeper;
            }
            isLoop[depth++] = opClass === kind.LOOP ? 1 : 0;
            if (opClass === kind.LOOP) {
              begins[func] = 1;
              loops++;
            }
            break;
          case kind.END:
            if (depth > 0 && isLoop[--depth] === 1) loops--;
            break;
          case kind.CALL:
          case kind.RETURN_CALL: {
            const callee = readU32At(bytes, at);
            if (callee >= facts.functions)
              throw invalid(func, start, 'calls a function that does not exist');
            targets.push(callee * 2 + (loops > 0 ? 1 : 0));
            break;
          }
          case kind.CALL_INDIRECT:
          case kind.RETURN_CALL_INDIRECT: {
            const type = facts.canonicalType[readU32At(bytes, at)];
            if (type === undefined) throw invalid(func, start, 'calls a type that does not exist');
            begins[func] = 1;
            targets.push((facts.functions + type) * 2 + (loops > 0 ? 1 : 0));
            break;
          }
          case kind.REF_FUNC:
            referenced.push(readU32At(bytes, at));
            break;
          case kind.TABLE_SET:
          case kind.TABLE_FILL:
          case kind.TABLE_COPY:
            changedTables[readU32At(bytes, at)] = 1;
            break;
          case kind.TABLE_GROW:
            changedTables[readU32At(bytes, at)] = 1;
            noteHelper(helpers, opClass, readU32At(bytes, at), 0);
            break;
          case kind.TABLE_INIT: {
            const table = readU32At(bytes, skipLeb(bytes, at));
            changedTables[table] = 1;
            noteHelper(helpers, opClass, readU32At(bytes, at), table);
            break;
          }
          case kind.MEMORY_INIT:
            noteHelper(
              helpers,
              opClass,
              readU32At(bytes, at),
              readU32At(bytes, skipLeb(bytes, at)),
            );
            break;
          case kind.MEMORY_GROW:
          case kind.DATA_DROP:
          case kind.ELEM_DROP:
            noteHelper(helpers, opClass, readU32At(bytes, at), 0);
            break;
          default:
            break;
        }
      }
      at = skipImmediates(op, bytes, at);
    }
  }
  rows.push(targets.length);
  return { rows, targets, begins, referenced, helpers: [...helpers.values()], changedTables };
}

function noteHelper(
  helpers: Map<number, HelperSpec>,
  opClass: number,
  first: number,
  second: number,
): void {
  const key = helperKey(opClass, first, second);
  if (!helpers.has(key)) helpers.set(key, { opClass, first, second });
}

function withTypeNodes(facts: ModuleFacts, survey: Survey): Edges {
  const types = facts.typeParams.length;
  const taken = new Uint8Array(facts.functions);
  for (let i = 0; i < survey.referenced.length; i++) taken[survey.referenced.at(i)] = 1;
  for (const func of facts.referencedFunctions) taken[func] = 1;
  const byType: number[][] = Array.from({ length: types }, () => []);
  for (let func = 0; func < facts.functions; func++) {
    if (taken[func]) byType[facts.canonicalType[facts.functionType[func]!]!]!.push(func);
  }
  const { rows, targets } = survey;
  for (const functions of byType) {
    for (const func of functions) targets.push(func * 2);
    rows.push(targets.length);
  }
  return { rows: rows.toArray(), targets: targets.toArray() };
}

/**
 * Tarjan's components and the back edges of the same depth-first walk, without recursion. `finished`: the
 * nodes in the order in which the walk left them.
 *
 * Source: R. Tarjan, "Depth-first search and linear graph algorithms", 1972.
 */
function findEntryPolls(
  facts: ModuleFacts,
  { rows, targets }: Edges,
): { polls: Uint8Array; finished: Uint32Array } {
  const nodes = rows.length - 1;
  const order = new Int32Array(nodes);
  const low = new Int32Array(nodes);
  const onStack = new Uint8Array(nodes);
  const onPath = new Uint8Array(nodes);
  const component = new Int32Array(nodes).fill(-1);
  const next = Uint32Array.from(rows.subarray(0, nodes));
  const stack = new GrowingU32(1024);
  const path = new GrowingU32(1024);
  /** Functions that a back edge picked. */
  const picked = new Uint8Array(nodes);
  const finished = new Uint32Array(nodes);
  let counter = 0;
  let finishedCount = 0;
  let components = 0;

  for (let root = 0; root < nodes; root++) {
    if (order[root] !== 0) continue;
    path.push(root);
    while (path.length > 0) {
      const node = path.at(path.length - 1);
      if (order[node] === 0) {
        order[node] = ++counter;
        low[node] = counter;
        stack.push(node);
        onStack[node] = 1;
        onPath[node] = 1;
      }
      if (next[node]! < rows[node + 1]!) {
        const target = targets[next[node]!++]! >>> 1;
        if (order[target] === 0) path.push(target);
        else {
          if (onStack[target]) low[node] = Math.min(low[node]!, order[target]!);
          if (onPath[target]) picked[target < facts.functions ? target : node] = 1;
        }
        continue;
      }
      if (low[node] === order[node]) {
        for (;;) {
          const member = stack.at(--stack.length);
          onStack[member] = 0;
          component[member] = components;
          if (member === node) break;
        }
        components++;
      }
      onPath[node] = 0;
      finished[finishedCount++] = node;
      path.length--;
      if (path.length > 0) {
        const parent = path.at(path.length - 1);
        low[parent] = Math.min(low[parent]!, low[node]!);
      }
    }
  }

  const polls = new Uint8Array(facts.functions);
  for (let func = facts.importedFunctions; func < facts.functions; func++) {
    if (picked[func] !== 1) continue;
    for (let edge = rows[func]!; edge < rows[func + 1]!; edge++) {
      const target = targets[edge]!;
      if ((target & 1) === 0 && component[target >>> 1] === component[func]) polls[func] = 1;
    }
  }
  return { polls, finished };
}

/** Spreads "may be captured" from the functions that begin it to all that call them. */
function spreadCaptured(
  facts: ModuleFacts,
  { rows, targets }: Edges,
  begins: Uint8Array,
  entryPoll: Uint8Array,
): Uint8Array {
  const { functions } = facts;
  const callersRow = new Uint32Array(functions + 1);
  const lastEdge = rows[functions]!;
  for (let edge = 0; edge < lastEdge; edge++) {
    const callee = targets[edge]! >>> 1;
    if (callee < functions) callersRow[callee + 1]!++;
  }
  for (let func = 0; func < functions; func++) callersRow[func + 1]! += callersRow[func]!;
  const callers = new Uint32Array(callersRow[functions]!);
  const filled = callersRow.slice();
  for (let func = 0; func < functions; func++) {
    for (let edge = rows[func]!; edge < rows[func + 1]!; edge++) {
      const callee = targets[edge]! >>> 1;
      if (callee < functions) callers[filled[callee]!++] = func;
    }
  }
  const captured = new Uint8Array(functions);
  const todo = new GrowingU32(1024);
  for (let func = 0; func < functions; func++) {
    if (begins[func] || entryPoll[func]) {
      captured[func] = 1;
      todo.push(func);
    }
  }
  while (todo.length > 0) {
    const func = todo.at(--todo.length);
    for (let i = callersRow[func]!; i < callersRow[func + 1]!; i++) {
      const caller = callers[i]!;
      if (captured[caller]) continue;
      captured[caller] = 1;
      todo.push(caller);
    }
  }
  return captured;
}

function refuse(opClass: number, op: number, func: number, at: number): HostError {
  if (opClass === kind.UNKNOWN)
    return invalid(func, at, `has an instruction that does not exist (${opcodeName(op)})`);
  const feature = featureOf(op);
  return new HostError(
    'ERR_UNSUPPORTED_FEATURE',
    `function ${func} uses ${feature} (${opcodeName(op)} at offset ${at}), which can't be carried through a checkpoint yet`,
    {
      facts: { feature, function: func, offset: at },
      hint: 'build the program without this feature',
    },
  );
}

function invalid(func: number, at: number, what: string): HostError {
  return new HostError('ERR_INVALID_MODULE', `function ${func} ${what}`, {
    facts: { function: func, offset: at },
  });
}
