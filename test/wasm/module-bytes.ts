/** Modules put together byte by byte, for what no assembler would write. */
import { expect } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import { readModule, type WasmModule } from '../../src/wasm/module.ts';

export const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** A section with a one-byte size. */
export function section(id: number, ...content: number[]): number[] {
  expect(content.length).toBeLessThan(0x80);
  return [id, content.length, ...content];
}

/** A type section with the one type `() -> ()`. */
export const EMPTY_FUNCTION_TYPE = section(1, 1, 0x60, 0, 0);

export function moduleBytes(...sections: number[][]): Uint8Array {
  return Uint8Array.from([...HEADER, ...sections.flat()]);
}

export function moduleOf(...sections: number[][]): WasmModule {
  return readModule(moduleBytes(...sections));
}

/** The error that reading `bytes` ends in; fails when it succeeds. */
export function refusalOf(bytes: Uint8Array): HostError {
  try {
    readModule(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(HostError);
    return error as HostError;
  }
  throw new Error('the module was read where a refusal was expected');
}

/** Expects the sections to be refused as malformed, with a sentence like `sentence`. */
export function expectMalformed(sentence: RegExp, ...sections: number[][]): void {
  const refusal = refusalOf(moduleBytes(...sections));
  expect(refusal.code).toBe('ERR_MALFORMED_MODULE');
  expect(refusal.message).toMatch(sentence);
  expect(refusal.message).toMatch(/ \(at offset \d+\)$/);
}
