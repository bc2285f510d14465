/** The same module gives the same bytes, the same plan and the same resume modules, every time. */
import { describe, expect, test } from 'vitest';
import { planModule } from '../../src/instrument/call-graph.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { layOut } from '../../src/instrument/layout.ts';
import { readFacts } from '../../src/instrument/module-facts.ts';
import { decodePlan, encodePlan, isCaptured } from '../../src/instrument/plan.ts';
import { type Place, ResumeModuleMaker } from '../../src/instrument/resume-module.ts';
import { engine } from '../../src/wasm/engine.ts';
import { readModule } from '../../src/wasm/module.ts';
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
      for (let func = facts.importedFunctions; func < facts.functions; func++) {
        if (!isCaptured(plan, func)) continue;
        const sites = maker.siteCount(func);
        for (let site = 0; site < sites; site++) places.push({ func, site });
      }
      expect(places.length).toBeGreaterThan(0);
      for (const place of places) {
        const { bytes } = maker.make(place);
        expect(engine.validate(bytes)).toBe(true);
        expect(Buffer.compare(again.make(place).bytes, bytes)).toBe(0);
      }
    });
  });
}

test("another module's plan is refused", () => {
  const plan = instrument(moduleBytes('nqueens')).plan;
  expect(() => decodePlan(plan, 3, 1)).toThrow('does not belong to this module');
  const facts = readFacts(readModule(moduleBytes('nqueens')));
  expect(() => decodePlan(plan, facts.functions, 2)).toThrow('does not belong to this module');
});
