import { describe, expect, test } from 'vitest';
import { opcodeName } from '../../src/wasm/opcodes.ts';
import { readLocals } from '../../src/wasm/section-code.ts';
import { EXTERNREF, F32, F64, FUNCREF, I32, I64, V128 } from '../../src/wasm/value-type.ts';
import { EMPTY_FUNCTION_TYPE, expectMalformed, moduleOf, section } from './module-bytes.ts';

describe('types', () => {
  test('function types, with one array for equal lists', () => {
    const { types } = moduleOf(
      section(1, 2, 0x60, 2, I32, V128, 1, F64, 0x60, 1, F64, 2, I32, V128),
    );
    const [first, second] = types;
    expect(first).toEqual({
      kind: 'func',
      params: Uint8Array.of(I32, V128),
      results: Uint8Array.of(F64),
    });
    expect(first?.kind === 'func' && second?.kind === 'func' && first.params).toBe(
      second?.kind === 'func' && second.results,
    );
  });

  test('what takes more than a byte is kept as unsupported, with its feature and place', () => {
    const { types } = moduleOf(
      section(1, 4, 0x5f, 1, 0x78, 1, 0x5e, I64, 0, 0x60, 1, 0x64, 0, 0, 0x50, 0, 0x60, 0, 0),
    );
    expect(types).toEqual([
      { kind: 'unsupported', feature: 'garbage collection', offset: 11 },
      { kind: 'unsupported', feature: 'garbage collection', offset: 15 },
      { kind: 'unsupported', feature: 'typed function references', offset: 18 },
      { kind: 'unsupported', feature: 'garbage collection', offset: 23 },
    ]);
  });

  test('a group counts for as many types as it has; alone, a function type stays one', () => {
    const { types } = moduleOf(
      section(1, 3, 0x4e, 2, 0x60, 0, 0, 0x60, 0, 0, 0x4e, 1, 0x60, 0, 0, 0x4f, 0, 0x60, 0, 0),
    );
    expect(types.map(({ kind }) => kind)).toEqual(['unsupported', 'unsupported', 'func', 'func']);
  });

  test('a nullable reference to an abstract type is its one-byte type', () => {
    const { types } = moduleOf(section(1, 1, 0x60, 2, 0x63, FUNCREF, EXTERNREF, 0));
    expect(types[0]).toMatchObject({ kind: 'func', params: Uint8Array.of(FUNCREF, EXTERNREF) });
  });

  test('malformed', () => {
    expectMalformed(/type section has an unknown kind of type 0x40/, section(1, 1, 0x40, 0));
    expectMalformed(/type section has an unknown value type 0x11/, section(1, 1, 0x60, 1, 0x11, 0));
    expectMalformed(/more than its bytes can hold/, section(1, 0xff, 0xff, 0x03, 0x60));
    expectMalformed(/unknown heap type/, section(1, 1, 0x60, 1, 0x63, 0x7f, 0));
    expectMalformed(/unknown mutability/, section(1, 1, 0x5e, I32, 2));
    expectMalformed(/left over/, section(1, 1, 0x60, 0, 0, 0));
  });
});

describe('imports', () => {
  const imports = section(
    2,
    ...[5, 1, 0x6d, 1, 0x66, 0, 0],
    ...[1, 0x6d, 1, 0x74, 1, FUNCREF, 1, 2, 9],
    ...[1, 0x6d, 1, 0x6d, 2, 0, 1],
    ...[1, 0x6d, 1, 0x67, 3, I64, 1],
    ...[1, 0x6d, 1, 0x65, 4, 0, 0],
  );

  test('of every kind', () => {
    const module = moduleOf(EMPTY_FUNCTION_TYPE, imports);
    expect(module.imports).toMatchObject([
      { module: 'm', name: 'f', kind: 'func', typeIndex: 0, offset: 17 },
      { name: 't', kind: 'table', table: { type: FUNCREF, min: 2, max: 9, is64: false } },
      { name: 'm', kind: 'memory', memory: { min: 1, max: undefined, shared: false } },
      { name: 'g', kind: 'global', global: { type: I64, mutable: true } },
      { name: 'e', kind: 'tag', typeIndex: 0 },
    ]);
  });

  test('malformed', () => {
    expectMalformed(/import section names type 0, which is not there/, imports);
    expectMalformed(/unknown kind of import 0x9/, section(2, 1, 0, 0, 9, 0));
    expectMalformed(/unknown kind of tag/, section(2, 1, 0, 0, 4, 1, 0));
    expectMalformed(/not UTF-8/, section(2, 1, 1, 0xc0, 0, 0, 0));
  });
});

describe('functions and code', () => {
  test('bodies lie where their ranges say, and locals are read', () => {
    const module = moduleOf(
      EMPTY_FUNCTION_TYPE,
      section(3, 2, 0, 0),
      section(10, 2, 2, 0, 0x0b, 7, 2, 3, I32, 1, F32, 0x01, 0x0b),
    );
    expect([...module.functions]).toEqual([0, 0]);
    const second = module.bytes.subarray(module.bodyStart[1], module.bodyEnd[1]);
    expect([...second]).toEqual([2, 3, I32, 1, F32, 0x01, 0x0b]);
    const locals = readLocals(module.bytes, module.bodyStart[1]!, module.bodyEnd[1]!);
    expect(locals.runs).toEqual([
      { count: 3, type: I32 },
      { count: 1, type: F32 },
    ]);
    expect(opcodeName(module.bytes[locals.instructions]!)).toBe('nop');
  });

  test('malformed', () => {
    const functions = section(3, 1, 0);
    expectMalformed(/code section has 0 bodies for 1 functions/, EMPTY_FUNCTION_TYPE, functions);
    expectMalformed(/function section names type 0/, functions, section(10, 1, 2, 0, 0x0b));
    expectMalformed(/too short to end/, EMPTY_FUNCTION_TYPE, functions, section(10, 1, 1, 0, 0x0b));
    expectMalformed(
      /ends in the middle/,
      EMPTY_FUNCTION_TYPE,
      functions,
      section(10, 1, 3, 0, 0x0b),
    );
    expectMalformed(/limit is 7654321/, section(10, 1, 0xff, 0xff, 0xff, 0xff, 0x0f));
    const many = Uint8Array.of(2, 0xd0, 0x86, 0x03, I32, 1, I32, 0x0b);
    expect(() => readLocals(many, 0, many.length)).toThrow(/too many locals/);
  });
});

describe('tables, memories, tags and globals', () => {
  test('limits of every form', () => {
    const { tables, memories } = moduleOf(
      section(4, 2, FUNCREF, 5, 1, 0x80, 1, 0x40, 0, EXTERNREF, 0, 7, 0xd0, 0x6f, 0x0b),
      section(5, 4, 0, 1, 3, 1, 2, 5, 3, 4, 8, 5, 0),
    );
    expect(tables).toMatchObject([
      { type: FUNCREF, min: 1, max: 128, is64: true, init: undefined },
      { type: EXTERNREF, min: 7, max: undefined, is64: false },
    ]);
    expect(tables[1]?.init).toEqual({ start: 21, end: 24 });
    expect(tables[1]?.range).toEqual({ start: 16, end: 24 });
    expect(memories).toMatchObject([
      { min: 1, max: undefined, shared: false, is64: false, pageBytes: 65_536 },
      { min: 1, max: 2, shared: true, is64: false },
      { min: 3, max: 4, shared: false, is64: true },
      { min: 5, pageBytes: 1 },
    ]);
  });

  test('a tag between memory and global; a global with its first value', () => {
    const module = moduleOf(
      EMPTY_FUNCTION_TYPE,
      section(5, 0),
      section(13, 1, 0, 0),
      section(6, 1, I32, 1, 0x41, 7, 0x0b),
    );
    expect([...module.tags]).toEqual([0]);
    expect(module.globals).toEqual([{ type: I32, mutable: true, init: { start: 27, end: 30 } }]);
  });

  test('malformed', () => {
    expectMalformed(/table section has a value type where a reference/, section(4, 1, I32, 0, 0));
    expectMalformed(/table section has unknown limit flags 0x8/, section(4, 1, FUNCREF, 8, 0));
    expectMalformed(/unknown form of table/, section(4, 1, 0x40, 1, FUNCREF, 0, 0));
    expectMalformed(/memory section has unknown limit flags 0x10/, section(5, 1, 0x10, 0));
    expectMalformed(/page size of 2\^17/, section(5, 1, 8, 0, 17));
    expectMalformed(/tag section names type 3/, section(13, 1, 0, 3));
    expectMalformed(
      /global section has an unknown mutability/,
      section(6, 1, I32, 2, 0x41, 0, 0x0b),
    );
    expectMalformed(/has call in a constant expression/, section(6, 1, I32, 0, 0x10, 0, 0x0b));
    expectMalformed(/middle of a constant expression/, section(6, 1, I32, 0, 0x41, 0));
    expectMalformed(/ends in the middle/, section(6, 1, F64, 0, 0x44, 0, 0, 0));
  });
});

describe('exports and start', () => {
  const body = section(10, 1, 2, 0, 0x0b);

  test('exports of functions, and the function that instantiation calls', () => {
    const module = moduleOf(
      EMPTY_FUNCTION_TYPE,
      section(3, 1, 0),
      section(7, 1, 2, 0x5f, 0x73, 0, 0),
      section(8, 0),
      body,
    );
    expect(module.exports).toEqual([{ name: '_s', kind: 'func', index: 0 }]);
    expect(module.start).toBe(0);
  });

  test('malformed', () => {
    expectMalformed(/export section names memory 0/, section(7, 1, 0, 2, 0));
    expectMalformed(/unknown kind of export/, section(7, 1, 0, 5, 0));
    expectMalformed(/start section names function 0/, section(8, 0));
  });
});

describe('segments', () => {
  const table = section(4, 1, FUNCREF, 0, 9);
  const code = section(10, 1, 2, 0, 0x0b);
  const withElements = (...content: number[]) =>
    moduleOf(EMPTY_FUNCTION_TYPE, section(3, 1, 0), table, section(9, ...content), code).elements;
  const zero = [0x41, 0, 0x0b];
  const refFunc = [0xd2, 0, 0x0b];

  test('element segments of all eight forms', () => {
    const segments = withElements(
      ...[8, 0, ...zero, 1, 0],
      ...[1, 0, 2, 0, 0],
      ...[2, 0, ...zero, 0, 1, 0],
      ...[3, 0, 0],
      ...[4, ...zero, 1, ...refFunc],
      ...[5, FUNCREF, 1, ...refFunc],
      ...[6, 0, ...zero, EXTERNREF, 0],
      ...[7, FUNCREF, 1, ...refFunc],
    );
    expect(segments.map(({ mode }) => mode)).toEqual([
      ...['active', 'passive', 'active', 'declarative'],
      ...['active', 'passive', 'active', 'declarative'],
    ]);
    expect(segments.map(({ length }) => length)).toEqual([1, 2, 1, 0, 1, 1, 0, 1]);
    expect([...segments[1]!.functions!]).toEqual([0, 0]);
    const [start, end] = segments[5]!.expressions!;
    expect(end! - start!).toBe(refFunc.length);
    expect(segments[6]!.type).toBe(EXTERNREF);
    for (let i = 1; i < 8; i++) expect(segments[i]!.range.start).toBe(segments[i - 1]!.range.end);
  });

  test('data segments of all three forms, and their count', () => {
    const { data, dataCount, bytes } = moduleOf(
      section(5, 2, 0, 1, 0, 1),
      section(12, 3),
      section(11, 3, 0, ...zero, 1, 0xaa, 1, 2, 0xbb, 0xcc, 2, 1, ...zero, 0),
    );
    expect(dataCount).toBe(3);
    expect(data.map(({ mode, memory }) => [mode, memory])).toEqual([
      ['active', 0],
      ['passive', 0],
      ['active', 1],
    ]);
    expect([...bytes.subarray(data[1]!.content.start, data[1]!.content.end)]).toEqual([0xbb, 0xcc]);
  });

  test('malformed', () => {
    expectMalformed(/element section names table 0/, section(9, 1, 0, ...zero, 0));
    expectMalformed(/element section names function 5/, table, section(9, 1, 0, ...zero, 1, 5));
    expectMalformed(/unknown segment flags 8/, section(9, 1, 8, 0, 0));
    expectMalformed(/unknown kind of element/, section(9, 1, 1, 1, 0));
    expectMalformed(/data section names memory 0/, section(11, 1, 0, ...zero, 0));
    expectMalformed(/unknown segment flags 3/, section(11, 1, 3, 0));
    expectMalformed(/data section ends in the middle/, section(11, 1, 1, 5, 0));
    expectMalformed(/data count section states 2 data segments where there are 0/, section(12, 2));
  });
});

describe('the frame', () => {
  test('sections in the order of the file, custom ones with name and contents', () => {
    const { sections } = moduleOf(section(0, 1, 0x61, 9, 9), EMPTY_FUNCTION_TYPE, section(0, 0));
    expect(sections).toEqual([
      { id: 0, start: 8, offset: 10, size: 4, custom: { name: 'a', contentStart: 12 } },
      { id: 1, start: 14, offset: 16, size: 4, custom: undefined },
      { id: 0, start: 20, offset: 22, size: 1, custom: { name: '', contentStart: 23 } },
    ]);
  });

  test('malformed', () => {
    expectMalformed(/unknown section 14/, section(14));
    expectMalformed(/the type section twice or in the wrong place/, section(1, 0), section(1, 0));
    expectMalformed(/the memory section twice or in the wrong/, section(13, 0), section(5, 0));
    expectMalformed(/is cut off in the type section/, [1, 9, 0]);
    expectMalformed(/custom section ends in the middle/, section(0));
    expectMalformed(/more than 100000 sections/, new Array(100_001).fill([0, 1, 0]).flat());
  });
});
