/**
 * Starts a Node program in a system that lacks something: a filter answers ENOSYS to the calls that are named,
 * as a kernel does that is older than they are. Words: the calls, separated by commas, then the program's.
 */
import { constants } from 'node:os';
import { kernelCalls } from '../../src/confine/kernel-calls.ts';

const [names, ...words] = process.argv.slice(2) as [string, ...string[]];
const LANDLOCK_CREATE_RULESET = 444;
const SECCOMP = { x64: 317, arm64: 277 };
const NUMBERS: Readonly<Record<string, number>> = {
  landlock: LANDLOCK_CREATE_RULESET,
  seccomp: SECCOMP[process.arch as keyof typeof SECCOMP],
};

const kernel = kernelCalls();
if (kernel === null) throw new Error('there is no FFI here');
const lacking = names.split(',').map((name) => NUMBERS[name]!);

/** Load the number of the call; a jump over all that is left for each that is lacking; allow; ENOSYS. */
const program: [code: number, whenTrue: number, whenFalse: number, value: number][] = [
  [0x20, 0, 0, 0],
  ...lacking.map((number, index): [number, number, number, number] => [
    0x15,
    lacking.length - index,
    0,
    number,
  ]),
  [0x06, 0, 0, 0x7fff_0000],
  [0x06, 0, 0, 0x0005_0000 | constants.errno.ENOSYS],
];
const bytes = new Uint8Array(program.length * 8);
const view = new DataView(bytes.buffer);
for (const [index, [code, whenTrue, whenFalse, value]] of program.entries()) {
  view.setUint16(index * 8, code, true);
  view.setUint8(index * 8 + 2, whenTrue);
  view.setUint8(index * 8 + 3, whenFalse);
  view.setUint32(index * 8 + 4, value, true);
}
if (!kernel.forbidNewPrivileges()) throw new Error('privileges could not be forbidden');
if (!kernel.filterCalls({ bytes, instructions: program.length }, 'process')) {
  throw new Error('the filter was refused');
}
process.execve!(process.execPath, [process.execPath, ...words], process.env);
