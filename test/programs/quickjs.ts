/**
 * QuickJS as a command that evaluates scripts one after the other, and prints what each comes to.
 *
 * The package is a reactor with a C interface. `_start` sets up the engine once; for each script it takes
 * the result's string and writes it to standard output, so that the guest calls the host between scripts.
 * An exception is printed like a result, and then the program traps: it imports no way to exit. The
 * functions of `env` are callbacks for a JavaScript host which these scripts do not ask for.
 */
import { OP } from '../../src/wasm/opcodes.ts';
import { programFile } from './program-file.ts';
import { roundUp, type StartWriter, withStart } from './reactor-command.ts';

const FILE_NAME = Buffer.from('script.js\0');
const STDOUT = 1;
const NEWLINE = 0x0a;
/** One iovec, then the count of bytes written. */
const IOVEC = { pointer: 0, length: 4, written: 8, bytes: 12 } as const;

interface Registers {
  readonly text: number;
  readonly fileName: number;
  readonly value: number;
  readonly string: number;
  readonly iovec: number;
}

/** Evaluates `scripts` in one global scope. */
export function quickjsCommand(scripts: readonly string[]): Uint8Array<ArrayBuffer> {
  return withStart(programFile('quickjs-wasi/quickjs.wasm'), (start) => {
    const registers: Registers = {
      text: start.local(),
      fileName: start.local(),
      value: start.local(),
      string: start.local(),
      iovec: start.local(),
    };
    start.callExport('_initialize');
    start.callExport('qjs_init');
    trapIfNotZero(start);
    allocate(start, IOVEC.bytes, registers.iovec);
    allocate(start, FILE_NAME.length, registers.fileName);
    start.storeBytes(registers.fileName, FILE_NAME);
    for (const script of scripts) evaluate(start, registers, script);
  });
}

function allocate(start: StartWriter, size: number, into: number): void {
  start.constant(roundUp(size));
  start.callExport('malloc');
  start.set(into);
}

function evaluate(start: StartWriter, registers: Registers, script: string): void {
  const { text, fileName, value, string, iovec } = registers;
  const bytes = Buffer.from(`${script}\0`);
  allocate(start, bytes.length, text);
  start.storeBytes(text, bytes);
  start.get(text);
  start.constant(bytes.length - 1);
  start.get(fileName);
  start.constant(0);
  start.callExport('qjs_eval');
  start.set(value);
  const failed = (): void => {
    start.get(value);
    start.callExport('qjs_is_exception');
  };
  failed();
  start.ifNotZero(() => {
    start.callExport('qjs_get_exception');
    start.set(value);
    print(start, value, string, iovec);
    start.code.u8(OP.unreachable);
  });
  print(start, value, string, iovec);
  start.get(value);
  start.callExport('qjs_free_value');
  start.get(text);
  start.callExport('free');
}

/** Writes the string of a value, and a newline in the place of the zero byte that ends it. */
function print(start: StartWriter, value: number, string: number, iovec: number): void {
  const length = (): void => {
    start.get(string);
    start.callExport('strlen');
  };
  start.get(value);
  start.callExport('qjs_get_string');
  start.set(string);
  start.storeWord(iovec, IOVEC.pointer, () => start.get(string));
  write(start, iovec, length);
  start.storeWord(iovec, IOVEC.written, () => start.constant(NEWLINE));
  start.storeWord(iovec, IOVEC.pointer, () => {
    start.get(iovec);
    start.constant(IOVEC.written);
    start.code.u8(OP.i32_add);
  });
  write(start, iovec, () => start.constant(1));
  start.get(string);
  start.callExport('qjs_free_cstring');
}

function write(start: StartWriter, iovec: number, length: () => void): void {
  start.storeWord(iovec, IOVEC.length, length);
  start.constant(STDOUT);
  start.get(iovec);
  start.constant(1);
  start.get(iovec);
  start.constant(IOVEC.written);
  start.code.u8(OP.i32_add);
  start.callImport('fd_write');
  trapIfNotZero(start);
}

function trapIfNotZero(start: StartWriter): void {
  start.ifNotZero(() => start.code.u8(OP.unreachable));
}

/** Scripts that take a second together, and use much of the language. */
export const QUICKJS_SCRIPTS: readonly string[] = [
  `var random = (seed => () => (seed = (seed * 48271) % 2147483647))(7);
   var sorted = Array.from({ length: 20000 }, random).sort((a, b) => a - b);
   'sorted ' + sorted[0] + ' ' + sorted[19999]`,
  `function* walk(tree) { if (tree) { yield* walk(tree.left); yield tree.key; yield* walk(tree.right); } }
   var root = null;
   for (let i = 0; i < 3000; i++) {
     const node = { key: random() % 10007, left: null, right: null };
     if (!root) { root = node; continue; }
     for (let at = root; ; ) {
       const side = node.key < at.key ? 'left' : 'right';
       if (!at[side]) { at[side] = node; break; }
       at = at[side];
     }
   }
   'walked ' + [...walk(root)].reduce((hash, key) => (hash * 31 + key) % 1000003, 7)`,
  `var big = 1n; for (let i = 1n; i <= 400n; i++) big *= i;
   'big ' + big.toString().length + ' ' + (big % 1000000007n)`,
  `var text = JSON.stringify({ list: sorted.slice(0, 500).map((n, i) => ({ n, name: 'x' + i })) });
   'json ' + JSON.parse(text.replace(/x(\\d+)/g, (all, n) => 'y' + n * 2)).list[499].name + ' ' + text.length`,
  `var caught = 0;
   for (let i = 0; i < 2000; i++) { try { if (i % 3 === 0) throw new RangeError(i); } catch (e) { caught += +e.message; } finally { caught++; } }
   'caught ' + caught`,
  `function ack(m, n) { return m === 0 ? n + 1 : n === 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1)); }
   'ack ' + ack(2, 60)`,
];
