import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/wasm/byte-writer.ts';
import { readOpcodeAt, skipOpcode } from '../../src/wasm/decode.ts';
import { readU32At } from '../../src/wasm/leb.ts';
import { OP } from '../../src/wasm/opcodes.ts';

test('every opcode is read back', () => {
  for (const op of Object.values(OP)) {
    const writer = new ByteWriter();
    writer.opcode(op);
    expect(readOpcodeAt(writer.view(), 0)).toBe(op);
    expect(skipOpcode(writer.view(), 0)).toBe(writer.length);
  }
});

test('ranges, short and long, are copied across growth', () => {
  const source = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff);
  const writer = new ByteWriter(0);
  writer.range(source, 10, 20);
  writer.range(source, 0, 1000);
  writer.range(source, 5, 5);
  writer.bytes(source.subarray(0, 3));
  const expected = [...source.subarray(10, 20), ...source, 0, 1, 2];
  expect([...writer.finish()]).toEqual(expected);
  expect(writer.length).toBe(expected.length);
});

test('a padded number can be changed afterwards, and only where one was written', () => {
  const writer = new ByteWriter();
  const at = writer.u32Padded(0);
  writer.u8(0xaa);
  writer.patchU32(at, 0xdeadbeef);
  expect(readU32At(writer.view(), at)).toBe(0xdeadbeef);
  expect(writer.view()[5]).toBe(0xaa);
  expect(() => writer.patchU32(4, 1)).toThrow(/broken invariant/);
});

test('clear keeps nothing of what was written; finish is a copy', () => {
  const writer = new ByteWriter();
  writer.name('é');
  const first = writer.finish();
  writer.clear();
  writer.u8(9);
  expect([...first]).toEqual([2, 0xc3, 0xa9]);
  expect([...writer.view()]).toEqual([9]);
});
