import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import wabt from 'wabt';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn, ROOT } from './run-cli.ts';

const scratch = scratchDirectory();
const cli = cliIn(join(scratch, 'home'));
const { parseWat } = await wabt();

const MEMORY = '(memory (export "memory") 1)';
const EXIT =
  '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))' +
  '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))';

/** Writes a module in the text format as a binary one. */
function module(name: string, text: string): string {
  const path = join(scratch, `${name}.wasm`);
  writeFileSync(path, parseWat(name, `(module ${text})`, {}).toBinary({}).buffer);
  return path;
}

const start = (body: string) => `(func (export "_start") ${body})`;
const loop = module('loop', MEMORY + start('(loop $l (br $l))'));
const noEntry = module('no-entry', '(func (export "go"))');
const unknown = module('unknown', `(import "env" "mystery" (func $f)) ${start('(call $f)')}`);
const grower = module(
  'grower',
  MEMORY + start('(loop $l (drop (memory.grow (i32.const 16))) (br $l))'),
);
const exits = (code: number) =>
  module(`exits-${code}`, EXIT + MEMORY + start(`(call $exit (i32.const ${code}))`));
/** Traps in `seven` unless the function named so was called before. */
const afterwards = (name: string) => `${MEMORY}(global $set (mut i32) (i32.const 0))
  (func (export "${name}") (global.set $set (i32.const 7)))
  (func (export "seven") (if (i32.ne (global.get $set) (i32.const 7)) (then (unreachable))))`;
const reactor = module('reactor', afterwards('_initialize'));
const uninitialized = module('uninitialized', afterwards('initialize'));
/** Says on both streams what a terminal should not obey. */
const says = module(
  'says',
  `${EXIT}${MEMORY}(data (i32.const 100) "out\\1b[2J\\ne\\c3\\bcrr\\n")
   (data (i32.const 0) "\\64\\00\\00\\00\\08\\00\\00\\00\\6c\\00\\00\\00\\06\\00\\00\\00")
   ${start(`(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 50)))
            (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 50)))`)}`,
);

/** Says that it runs, and then runs for ever. */
const shouts = module(
  'shouts',
  `${EXIT}${MEMORY}(data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00go\\n")
   ${start('(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 50))) (loop $l (br $l))')}`,
);

describe('the exit status', () => {
  test.each<[string, readonly string[], number]>([
    ['of a guest that returns', [module('returns', MEMORY + start(''))], 0],
    ['of a guest that exits with 42', [exits(42)], 42],
    ['of a guest that exits with 255', [exits(255)], 255],
    ['of a guest that exits with 121 by itself', [exits(121)], 121],
    ['of an export called instead of _start', ['--invoke', 'go', noEntry], 0],
    ['of a guest out of fuel', ['--fuel', '100000', loop], 121],
    ['of a guest at its memory limit', ['--max-memory', '2MiB', grower], 122],
    ['of a module whose memory is over the limit', ['--max-memory', '0', loop], 122],
    [
      'of a guest at its table limit',
      [
        '--max-table',
        '10',
        module(
          'table',
          `(table 1 funcref)${start('(drop (table.grow (ref.null func) (i32.const 10)))')}`,
        ),
      ],
      118,
    ],
    ['of a guest that traps', [module('trap', start('unreachable'))], 123],
    ['of endless recursion', [module('deep', '(func $f (export "_start") (call $f))')], 123],
    ['of a missing import that is called', ['--trap-unknown-imports', unknown], 123],
    [
      'of a guest that traps in its start function',
      [module('init', `(func $f unreachable)(start $f)${start('')}`)],
      123,
    ],
    [
      'of a module whose data does not fit into its memory',
      [module('data', `${MEMORY}(data (i32.const 65535) "xx")${start('')}`)],
      123,
    ],
    ['of a reactor, which is only initialized', [reactor], 0],
    ['of an export of a reactor, which is initialized before', ['--invoke', 'seven', reactor], 0],
    ['of the same export without that', ['--invoke', 'seven', uninitialized], 123],
    ['of a guest beyond its deadline', ['--timeout', '300ms', loop], 124],
  ])('%s', async (_, words, status) => {
    const result = await cli(['run', ...words]);
    expect(result.status).toBe(status);
    expect(result.stdout).toBe('');
    // A guest's own end needs no words; every other is told in one sentence.
    const own = result.status === 0 || words.at(-1)!.includes('exits-');
    expect(result.stderr).toMatch(
      own
        ? /^$/
        : /^stasis: the guest .+\n( {2}at .+\n)*( {2}… .+\n)?(try: .+ with a larger --[a-z-]+\n)?$/,
    );
    const json = await cli(['run', '--json', ...words]);
    const report = JSON.parse(json.stderr);
    expect(report).toMatchObject({ status, run: 1, checkpoints: 0, kept: false });
  });

  test.each<[string, readonly string[], number, string]>([
    ['unknown imports, by name', [unknown], 126, 'ERR_UNKNOWN_IMPORT'],
    ['no entry', [noEntry], 126, 'ERR_NO_ENTRY'],
    ['another export than it has', ['--invoke', 'x', noEntry], 126, 'ERR_NO_ENTRY'],
    [
      'a body that is not valid',
      [
        (() => {
          const path = join(scratch, 'invalid.wasm');
          const hex = '0061736d01000000010401600000030201000a05010300 6a0b'.replace(' ', '');
          writeFileSync(path, Buffer.from(hex, 'hex'));
          return path;
        })(),
      ],
      126,
      'ERR_INVALID_MODULE',
    ],
    [
      'an end in the middle',
      [
        (() => {
          const path = join(scratch, 'truncated.wasm');
          writeFileSync(path, Buffer.from('0061736d010000000104016000', 'hex'));
          return path;
        })(),
      ],
      126,
      'ERR_MALFORMED_MODULE',
    ],
  ])('of a module with %s', async (_, words, status, code) => {
    for (const detach of [[], ['--detach']]) {
      const result = await cli(['run', ...detach, ...words]);
      expect(result).toMatchObject({ status, stdout: '' });
      expect(result.stderr).toMatch(new RegExp(`^error: .+ \\(${code}\\)\n`));
    }
    const { stdout } = await cli(['ps', '--all', '--json']);
    expect(JSON.parse(stdout)).toEqual({ jobs: [] });
  });

  test('stays what it is when nothing can be said about it', () => {
    const trap = module('silent-trap', start('unreachable'));
    const full = openSync('/dev/full', 'w');
    const env = { ...process.env, STASIS_HOME: join(scratch, 'home') };
    const words = [join(ROOT, 'src/cli/main.ts'), 'run', trap];
    const { status } = spawnSync(process.execPath, words, { env, stdio: ['ignore', 'pipe', full] });
    closeSync(full);
    expect(status).toBe(123);
  });

  test('of unknown imports names them and the way on', async () => {
    const { stderr } = await cli(['run', unknown]);
    expect(stderr).toContain('env.mystery');
    expect(stderr).toContain('--trap-unknown-imports');
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('of a foreground job that gets %s is %i', async (signal, status) => {
    const name = signal.toLowerCase();
    const result = await cli(['run', '--name', name, shouts], {
      onStart: (child) => {
        child.stdout?.once('data', () => child.kill(signal));
      },
    });
    expect(result).toMatchObject({ status, stderr: `stasis: the guest was ended by ${signal}\n` });
    const { stdout } = await cli(['ps', '--all', '--json']);
    const { jobs } = JSON.parse(stdout);
    expect(jobs).toMatchObject([{ job: name, state: 'killed', status }]);
    await cli(['rm', name]);
  });
});

describe('output', () => {
  test('goes where the guest sent it, and into the log as well', async () => {
    const ran = await cli(['run', '--name', 'says', says]);
    expect(ran).toEqual({ status: 0, stdout: 'out\u001b[2J\n', stderr: 'e\u00fcrr\n'.slice(0, 5) });
    expect(await cli(['logs', '--raw', 'says'])).toEqual(ran);
    expect(await cli(['logs', 'says'])).toEqual({ ...ran, stdout: 'out\\u{1b}[2J\n' });
  });

  test('of a log can be had with times, and as JSON', async () => {
    const { stdout, stderr } = await cli(['logs', '--timestamps', 'says']);
    expect(stdout).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z out/);
    expect(stderr).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z e/);
    const { stdout: json } = await cli(['logs', '--json', 'says']);
    const records = json
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records.map(({ stream }) => stream)).toEqual(['stdout', 'stderr']);
    expect(records[0].text).toBe('out\u001b[2J\n');
  });

  test('can be kept out of the log', async () => {
    await cli(['run', '--name', 'quiet', '--no-log', says]);
    expect((await cli(['logs', 'quiet'])).stderr).toContain('ERR_NO_LOG');
  });

  test('of a job with --rm is gone with it', async () => {
    const { stderr } = await cli(['run', '--name', 'gone', '--rm', '--json', says]);
    expect(JSON.parse(stderr.trimEnd().split('\n').at(-1)!)).toMatchObject({
      job: 'gone',
      kept: false,
    });
    expect((await cli(['logs', 'gone'])).stderr).toContain('ERR_NO_SUCH_JOB');
  });
});

describe('what the guest is given', () => {
  const write = (name: string, call: string, sizes: string) =>
    module(
      name,
      `(import "wasi_snapshot_preview1" "${call}" (func $get (param i32 i32) (result i32)))
       (import "wasi_snapshot_preview1" "${sizes}" (func $sizes (param i32 i32) (result i32)))
       ${EXIT}${MEMORY}
       ${start(`(drop (call $sizes (i32.const 0) (i32.const 4)))
         (drop (call $get (i32.const 1024) (i32.const 4096)))
         (i32.store (i32.const 8) (i32.const 4096))
         (i32.store (i32.const 12) (i32.load (i32.const 4)))
         (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))`)}`,
    );

  test('are its own arguments, even those that look like options of the host', async () => {
    const path = write('args', 'args_get', 'args_sizes_get');
    const { stdout } = await cli(['run', path, '--name', 'x', '--', '-d', 'ü']);
    expect(stdout).toBe(['args.wasm', '--name', 'x', '--', '-d', 'ü', ''].join('\0'));
  });

  test('is no variable of the host but those that are named', async () => {
    const path = write('env', 'environ_get', 'environ_sizes_get');
    expect((await cli(['run', path])).stdout).toBe('');
    const { stdout } = await cli(
      ['run', '--env', 'A=1=2', '--env', 'COLOUR', '--env', 'B=', path],
      {
        env: { COLOUR: 'blue', SECRET: 'x' },
      },
    );
    expect(stdout).toBe(['A=1=2', 'COLOUR=blue', 'B=', ''].join('\0'));
  });

  test('is no directory but those that are granted', async () => {
    const data = join(scratch, 'data');
    mkdirSync(data);
    const files = 'guests/build/open-files.wasm';
    expect((await cli(['run', files])).status).toBe(2);
    expect((await cli(['run', '--dir', `${data}::/data`, files])).status).toBe(0);
    expect((await cli(['run', '--dir-ro', `${data}::/data`, files])).status).not.toBe(0);
  });
});

describe('a guest that writes too much', () => {
  const line = 'go\n'.repeat(3);
  const writer = module(
    'writer',
    `${EXIT}${MEMORY}(data (i32.const 0) "\\08\\00\\00\\00\\09\\00\\00\\00go\\ngo\\ngo\\n")
     ${start(`(loop $l (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 50)))
                      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 50))) (br $l))`)}`,
  );

  test.each(['stasis', 'wasmer'])('ends at the write that is too much, on %s', async (layer) => {
    const words = ['run', '--wasi', layer, '--max-output', '50B', writer];
    const { status, stdout, stderr } = await cli(words);
    expect(status).toBe(120);
    expect(stdout).toBe(line.repeat(3));
    expect(stderr).toBe(
      `${line.repeat(2)}stasis: the guest reached its output limit\ntry: run it with a larger --max-output\n`,
    );
  });

  test('has what it may write again after a restore', async () => {
    const flags = ['--name', 'writer', '--max-output', '50B', '--checkpoint-at-call', '3'];
    const first = await cli(['run', ...flags, writer]);
    expect(first.status).toBe(120);
    const { status, stdout } = await cli(['restore', 'writer']);
    expect([status, stdout]).toEqual([120, line.repeat(2)]);
  });
});
