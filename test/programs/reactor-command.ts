/**
 * Makes a command of a reactor: appends `_start`, which calls the module's own exports.
 *
 * The module stays as it is; what is new stands behind what it has, so no index changes: one type, one
 * function, one export. Strings come into memory that the module's own allocator gave out, by plain
 * stores: no data segment, which would need an address that nobody uses.
 */
import assert from 'node:assert/strict';
import { ByteWriter } from '../../src/wasm/byte-writer.ts';
import { readU32At, skipLeb } from '../../src/wasm/leb.ts';
import { readModule, type WasmModule } from '../../src/wasm/module.ts';
import { OP } from '../../src/wasm/opcodes.ts';
import { SECTION, type SectionId } from '../../src/wasm/section-id.ts';
import { EMPTY_BLOCK, I32 } from '../../src/wasm/value-type.ts';
import { writeModule } from '../../src/wasm/writer.ts';

/** Locals of `_start`, all i32. */
const LOCALS = 8;

/** Writes the body of `_start`. Values pass through its locals, of which the writer keeps account. */
export class StartWriter {
  readonly code = new ByteWriter(4096);
  readonly #module: WasmModule;
  readonly #imported: number;
  #locals = 0;

  constructor(module: WasmModule) {
    this.#module = module;
    this.#imported = module.imports.filter(({ kind }) => kind === 'func').length;
  }

  /** A local that is still free. */
  local(): number {
    assert(this.#locals < LOCALS, '_start has too few locals');
    return this.#locals++;
  }

  constant(value: number): void {
    this.code.u8(OP.i32_const);
    this.code.s32(value | 0);
  }

  get(local: number): void {
    this.code.u8(OP.local_get);
    this.code.u32(local);
  }

  set(local: number): void {
    this.code.u8(OP.local_set);
    this.code.u32(local);
  }

  /** Calls an export, its arguments on the stack. */
  callExport(name: string): void {
    const entry = this.#module.exports.find((candidate) => candidate.name === name);
    assert(entry?.kind === 'func', `the module exports the function ${name}`);
    this.#call(entry.index);
  }

  /** Calls an import, its arguments on the stack. */
  callImport(name: string): void {
    const functions = this.#module.imports.filter(({ kind }) => kind === 'func');
    const index = functions.findIndex((candidate) => candidate.name === name);
    assert(index >= 0 && index < this.#imported, `the module imports the function ${name}`);
    this.#call(index);
  }

  #call(func: number): void {
    this.code.u8(OP.call);
    this.code.u32(func);
  }

  /** Stores the bytes at the address in `local`, four at a time; there must be room for whole words. */
  storeBytes(local: number, bytes: Uint8Array): void {
    const padded = Buffer.alloc(roundUp(bytes.length));
    padded.set(bytes);
    for (let at = 0; at < padded.length; at += 4) {
      this.get(local);
      this.constant(padded.readInt32LE(at));
      this.code.u8(OP.i32_store);
      this.code.u8(0);
      this.code.u32(at);
    }
  }

  /** Stores what `value` leaves on the stack at the address in `local`, plus `offset`. */
  storeWord(local: number, offset: number, value: () => void): void {
    this.get(local);
    value();
    this.code.u8(OP.i32_store);
    this.code.u8(2);
    this.code.u32(offset);
  }

  /** Runs `then` when the value on the stack is not zero. */
  ifNotZero(then: () => void): void {
    this.code.u8(OP.if);
    this.code.u8(EMPTY_BLOCK);
    then();
    this.code.u8(OP.end);
  }
}

/** Bytes that whole words take, for `length` bytes. */
export function roundUp(length: number): number {
  return (length + 3) & ~3;
}

/** The module in `bytes` with a `_start` whose body `write` writes. */
export function withStart(
  bytes: Uint8Array,
  write: (start: StartWriter) => void,
): Uint8Array<ArrayBuffer> {
  const module = readModule(bytes);
  assert(!module.exports.some(({ name }) => name === '_start'), 'a reactor has no _start');
  const start = new StartWriter(module);
  write(start);
  const imported = module.imports.filter(({ kind }) => kind === 'func').length;
  const sections = new Map<SectionId, readonly Uint8Array[]>([
    [SECTION.type, appended(module, SECTION.type, (out) => out.bytes(Uint8Array.of(0x60, 0, 0)))],
    [SECTION.function, appended(module, SECTION.function, (out) => out.u32(module.types.length))],
    [
      SECTION.export,
      appended(module, SECTION.export, (out) => {
        out.name('_start');
        out.u8(0);
        out.u32(imported + module.functions.length);
      }),
    ],
    [
      SECTION.code,
      appended(module, SECTION.code, (out) => {
        const body = new ByteWriter();
        body.u32(1);
        body.u32(LOCALS);
        body.u8(I32);
        body.bytes(start.code.view());
        body.u8(OP.end);
        out.u32(body.length);
        out.bytes(body.view());
      }),
    ],
  ]);
  return writeModule(module, { sections });
}

/** The contents of a section with one entry more. */
function appended(
  { bytes, sections }: WasmModule,
  id: SectionId,
  write: (out: ByteWriter) => void,
): readonly Uint8Array[] {
  const section = sections.find((candidate) => candidate.id === id);
  assert(section !== undefined, 'a reactor has types, functions, exports and code');
  const head = new ByteWriter();
  head.u32(readU32At(bytes, section.offset) + 1);
  const tail = new ByteWriter();
  write(tail);
  return [
    head.finish(),
    bytes.subarray(skipLeb(bytes, section.offset), section.offset + section.size),
    tail.finish(),
  ];
}
