/** The same module gives the same bytes, the same plan and the same resume modules, every time. */
import { describe, expect, test } from 'vitest';
import { planModule } from '../../src/instrument/call-graph.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { layOut } from '../../src/instrument/layout.ts';
import { type ModuleFacts, readFacts } from '../../src/instrument/module-facts.ts';
import { decodePlan, encodePlan, isCaptured, type ModulePlan } from '../../src/instrument/plan.ts';
import { ResumeModuleMaker } from '../../src/instrument/resume-module.ts';
import type { Place } from '../../src/instrument/site-positions.ts';
import { engine } from '../../src/wasm/engine.ts';
import { readModule } from '../../src/wasm/module.ts';
import { OP } from '../../src/wasm/opcodes.ts';
import { moduleBytes } from '../guests/built-modules.ts';
import { assemble } from './assemble.ts';
import { CONSTRUCTS, moduleText } from './constructs.ts';

const SUBJECTS: Readonly<Record<string, () => Uint8Array<ArrayBuffer>>> = {
  nqueens: () => moduleBytes('nqueens'),
  'rust-collections': () => moduleBytes('rust-collections'),
  'table-segments': () => moduleBytes('table-segments'),
  ...Object.fromEntries(
    CONSTRUCTS.slice(0, 8).map((construct) => [
      construct.name,
      () => assemble(moduleText(construct)),
    ]),
  ),
};

function captured(facts: ModuleFacts, plan: ModulePlan): number[] {
  return Array.from({ length: facts.functions }, (_, func) => func).filter(
    (func) => func >= facts.importedFunctions && isCaptured(plan, func),
  );
}

for (const [name, load] of Object.entries(SUBJECTS)) {
  describe(name, () => {
    const bytes = load();
    const facts = readFacts(readModule(bytes));

    test('instrumented twice', () => {
      const first = instrument(bytes);
      const second = instrument(Uint8Array.from(bytes));
      expect(Buffer.compare(first.bytes, second.bytes)).toBe(0);
      expect(first.plan).toStrictEqual(second.plan);
      expect(engine.validate(first.bytes)).toBe(true);
    });

    test('planned again, and read back', () => {
      const plan = planModule(facts);
      expect(encodePlan(plan)).toStrictEqual(instrument(bytes).plan);
      expect(decodePlan(encodePlan(plan), facts.functions, facts.tableType.length)).toStrictEqual(
        plan,
      );
    });

    test('a twin for every place there is, twice', () => {
      const plan = planModule(facts);
      const layout = layOut(facts, plan);
      const maker = new ResumeModuleMaker(facts, plan, layout);
      const again = new ResumeModuleMaker(facts, plan, layout);
      const places: Place[] = [];
      for (const func of captured(facts, plan)) {
        const sites = maker.siteCount(func);
        for (let site = 0; site < sites; site++) places.push({ func, site });
      }
      expect(places.length).toBeGreaterThan(0);
      for (const place of places) {
        const { bytes } = maker.make([place], 'twin');
        expect(engine.validate(bytes)).toBe(true);
        expect(Buffer.compare(again.make([place], 'twin').bytes, bytes)).toBe(0);
      }
    });

    test('one module for many places; calls stand where it says', () => {
      const plan = planModule(facts);
      const layout = layOut(facts, plan);
      const maker = new ResumeModuleMaker(facts, plan, layout);
      const places = captured(facts, plan).flatMap((func) =>
        Array.from({ length: maker.siteCount(func) }, (_, site) => ({ func, site })),
      );
      let calls = 0;
      for (let from = 0; from < places.length; from += 40) {
        const batch = places.slice(from, from + 40);
        const { bytes, sites } = maker.make(batch, 'twins');
        expect(engine.validate(bytes)).toBe(true);
        const found = new Set<string>();
        for (let at = 0; at < bytes.length; at++) {
          const place = sites.find(at);
          if (place === null) continue;
          expect([OP.call, OP.call_indirect]).toContain(bytes[at]);
          found.add(`${place.func}:${place.site}`);
          calls++;
        }
        for (const { func, site } of batch) expect(found).toContain(`${func}:${site}`);
      }
      console.log(`${name}: ${places.length} places, ${calls} calls of sites in twins`);
      expect(calls).toBeGreaterThanOrEqual(places.length);
    });
  });
}

test("another module's plan is refused", () => {
  const plan = instrument(moduleBytes('nqueens')).plan;
  expect(() => decodePlan(plan, 3, 1)).toThrow('does not belong to this module');
  const facts = readFacts(readModule(moduleBytes('nqueens')));
  expect(() => decodePlan(plan, facts.functions, 2)).toThrow('does not belong to this module');
});
