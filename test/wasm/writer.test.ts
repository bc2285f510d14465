import { describe, expect, test } from 'vitest';
import { readModule } from '../../src/wasm/module.ts';
import { SECTION, type SectionId } from '../../src/wasm/section-id.ts';
import { type Payload, writeModule, writeNewModule } from '../../src/wasm/writer.ts';
import { EMPTY_FUNCTION_TYPE, moduleBytes, section } from './module-bytes.ts';

const custom = (letter: string) => section(0, 1, letter.charCodeAt(0));

const original = moduleBytes(
  custom('a'),
  // A size with two bytes where one would do: kept as it is.
  [1, 0x84, 0x00, 1, 0x60, 0, 0],
  custom('b'),
  section(3, 1, 0),
  section(10, 1, 2, 0, 0x0b),
  custom('c'),
);
const module = readModule(original);

/** Section numbers, custom ones by their names. */
const outline = (bytes: Uint8Array) =>
  readModule(bytes).sections.map(({ id, custom }) => custom?.name ?? id);

describe('writing', () => {
  test('without edits is the file', () => {
    expect(writeModule(module)).toEqual(original);
  });

  test('replaces contents, in pieces too, and keeps the rest', () => {
    const sections = new Map<SectionId, Payload>([
      [SECTION.function, Uint8Array.of(2, 0, 0)],
      [SECTION.code, [Uint8Array.of(2), Uint8Array.of(2, 0, 0x0b), Uint8Array.of(2, 0, 0x0b)]],
    ]);
    const bytes = writeModule(module, { sections });
    expect(outline(bytes)).toEqual(['a', 1, 'b', 3, 10, 'c']);
    expect(readModule(bytes).bodyStart.length).toBe(2);
    expect([...bytes.subarray(12, 19)]).toEqual([1, 0x84, 0x00, 1, 0x60, 0, 0]);
  });

  test('puts new sections in the order of the format, whatever the order of the edits', () => {
    const bytes = writeModule(module, {
      sections: new Map([
        [SECTION.data, Uint8Array.of(0)],
        [SECTION.global, Uint8Array.of(0)],
        [SECTION.dataCount, Uint8Array.of(0)],
        [SECTION.tag, Uint8Array.of(0)],
        [SECTION.import, Uint8Array.of(0)],
      ]),
    });
    expect(outline(bytes)).toEqual(['a', 1, 'b', 2, 3, 13, 6, 12, 10, 11, 'c']);
  });

  test('leaves sections out', () => {
    const bytes = writeModule(module, {
      sections: new Map([
        [SECTION.code, null],
        [SECTION.function, null],
        [SECTION.start, null],
      ]),
      keepCustom: (name) => name !== 'b',
    });
    expect(outline(bytes)).toEqual(['a', 1, 'c']);
  });

  test('adds custom sections before a section, there or not, and at the end', () => {
    const content = Uint8Array.of(7);
    const bytes = writeModule(module, {
      sections: new Map([[SECTION.import, Uint8Array.of(0)]]),
      addCustom: [
        { name: 'end', content, before: undefined },
        { name: 'code', content, before: SECTION.code },
        { name: 'memory', content: [content, content], before: SECTION.memory },
        { name: 'import', content, before: SECTION.import },
        { name: 'data', content, before: SECTION.data },
      ],
    });
    expect(outline(bytes)).toEqual([
      'a',
      1,
      'b',
      'import',
      2,
      3,
      'memory',
      'code',
      10,
      'data',
      'c',
      'end',
    ]);
    const read = readModule(bytes);
    const added = read.sections.find((candidate) => candidate.custom?.name === 'memory')!;
    expect([...bytes.subarray(added.custom!.contentStart, added.offset + added.size)]).toEqual([
      7, 7,
    ]);
  });

  test('a module from nothing', () => {
    const bytes = writeNewModule({
      sections: new Map([
        [SECTION.code, Uint8Array.of(1, 2, 0, 0x0b)],
        [SECTION.type, Uint8Array.from(EMPTY_FUNCTION_TYPE.slice(2))],
        [SECTION.function, Uint8Array.of(1, 0)],
      ]),
    });
    expect(outline(bytes)).toEqual([1, 3, 10]);
    expect(writeNewModule({})).toEqual(moduleBytes());
  });

  test('a module of custom sections alone takes new ones in front', () => {
    const alone = readModule(moduleBytes(custom('x')));
    const bytes = writeModule(alone, { sections: new Map([[SECTION.type, Uint8Array.of(0)]]) });
    expect(outline(bytes)).toEqual([1, 'x']);
  });
});
