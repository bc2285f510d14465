/**
 * CRuby as a command that runs one script.
 *
 * The package is a reactor made for a JavaScript host, with the canonical ABI's old spelling of names.
 * `_start` does what that host does: `_initialize`, `ruby-init` with arguments that each end with a zero
 * byte, then the script. The script ends the process itself, so that nothing is handed back: the calls of
 * the JavaScript bridge are never made, and may be stubs that trap.
 */
import { OP } from '../../src/wasm/opcodes.ts';
import { programFile } from './program-file.ts';
import { roundUp, type StartWriter, withStart } from './reactor-command.ts';

const ARGUMENTS = ['ruby', '-EUTF-8', '-e_=0'];
const ALLOCATE = 'cabi_realloc';
const INIT = 'ruby-init: func(args: list<string>) -> ()';
const INIT_LOADPATH = 'ruby-init-loadpath: func() -> ()';
const EVAL = 'rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>';

/** Status when the script raises what it doesn't rescue. */
export const RUBY_FAILED = 1;

/** The whole of Ruby with its library, 30 MB, to run `script` and end with status 0. */
export function rubyCommand(script: string): Uint8Array<ArrayBuffer> {
  return withStart(programFile('@ruby/3.4-wasm-wasi/dist/ruby+stdlib.wasm'), (start) => {
    start.callExport('_initialize');
    initialise(start);
    start.callExport(INIT_LOADPATH);
    evaluate(start, wrapped(script));
  });
}

function wrapped(script: string): string {
  return `$stdout.sync = true
begin
${script}
rescue Exception => error
  $stderr.write(error.full_message(highlight: false))
  exit!(${RUBY_FAILED})
end
exit!(0)
`;
}

/** Leaves the address of `size` bytes in a local. */
function allocate(start: StartWriter, size: number): number {
  const address = start.local();
  start.constant(0);
  start.constant(0);
  start.constant(4);
  start.constant(size);
  start.callExport(ALLOCATE);
  start.set(address);
  return address;
}

function initialise(start: StartWriter): void {
  const list = allocate(start, ARGUMENTS.length * 8);
  ARGUMENTS.forEach((argument, index) => {
    const bytes = Buffer.from(`${argument}\0`);
    const text = allocate(start, roundUp(bytes.length));
    start.storeBytes(text, bytes);
    start.storeWord(list, index * 8, () => start.get(text));
    start.storeWord(list, index * 8 + 4, () => start.constant(bytes.length));
  });
  start.get(list);
  start.constant(ARGUMENTS.length);
  start.callExport(INIT);
}

function evaluate(start: StartWriter, script: string): void {
  const bytes = Buffer.from(script);
  const text = allocate(start, roundUp(bytes.length));
  start.storeBytes(text, bytes);
  start.get(text);
  start.constant(bytes.length);
  start.callExport(EVAL);
  // Reached only when the script could not even be parsed.
  start.code.u8(OP.drop);
  start.constant(RUBY_FAILED);
  start.callImport('proc_exit');
}

/** Computes for some seconds, over many kinds of objects, and prints a line every now and then. */
export const RUBY_SCRIPT = `
def fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)
sieve = Array.new(60_000, true)
(2...sieve.size).each do |n|
  next unless sieve[n]
  (n * n).step(sieve.size - 1, n) { |m| sieve[m] = false }
end
puts "primes #{sieve.each_index.count { |n| n > 1 && sieve[n] }}"
words = Hash.new(0)
seed = 42
6.times do |round|
  8_000.times do
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
    words["w#{seed % 977}".to_sym] += 1
  end
  top = words.sort_by { |word, count| [-count, word] }.first(2)
  puts "round #{round} #{top.inspect} fib #{fib(15 + round)}"
end
gen = Fiber.new { 3.times { |n| Fiber.yield n * n }; :done }
puts "fiber #{4.times.map { gen.resume }.inspect}"
caught = catch(:out) { 10.times { |n| throw :out, n if n == 7 }; nil }
puts "caught #{caught} #{begin; Integer('x'); rescue ArgumentError => e; e.message; end}"
puts "big #{(1..120).inject(:*).to_s.sum} #{'%.12f' % (1..2000).sum { |n| 1.0 / n }}"
puts "text #{('a'..'zz').to_a.join.gsub(/[aeiou]+/) { |m| m.upcase }.scan(/[A-Z]/).size}"
`;
