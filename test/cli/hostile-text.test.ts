/**
 * Every command with text that wants to steer a terminal or to fool its reader: in names, arguments, paths, errors
 * and a guest's output. A guest's streams in the foreground are its user's own, and are not looked at.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import wabt from 'wabt';
import { EXIT_STATUS } from '../../src/fault/exit-status.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn, ROOT } from './run-cli.ts';

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const cli = cliIn(home);
/** Colours, the clipboard (OSC 52), a title, CSI in one character, bidi, a second line, a zero width. */
const EVIL =
  'a\u001b[31m\u001b]52;c;aGk=\u0007\u009b2J\u202egnp.exe\u2066\r\nerror: fake\u200b\u007f\u2028';
const HARMLESS_NAME = 'job';
const module = join(scratch, `${EVIL}.wasm`);
const OUTPUT = `${EVIL}\n`;
const outputBytes = [...Buffer.from(OUTPUT), 0xff, 0xc3];
const GUEST_WROTE = Buffer.from(outputBytes).toString('utf8');
const { parseWat } = await wabt();
const data = outputBytes.map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
const length = `\\${outputBytes.length.toString(16).padStart(2, '0')}\\00\\00\\00`;
const text = `(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\40\\00\\00\\00${length}")
  (data (i32.const 64) "${data}")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32)))
    (drop (call $yield))
    unreachable))`;
writeFileSync(module, parseWat('evil.wat', text).toBinary({}).buffer);
const unlinkable = join(scratch, `no-${EVIL}.wasm`);
const badlyNamed = join(scratch, 'badly-named.wasm');
const wat =
  '(module (func $0123456789abcdef unreachable) (func (export "_start") (call $0123456789abcdef)))';
const named = Buffer.from(
  parseWat('named.wat', wat).toBinary({ write_debug_names: true }).buffer,
).toString('latin1');
writeFileSync(
  badlyNamed,
  Buffer.from(named.replace('0123456789abcdef', '\u001b[31m\r\nerror: fak'), 'latin1'),
);
writeFileSync(
  unlinkable,
  parseWat(
    'no.wat',
    `(module (import "m\\1b[31m\\e2\\80\\ae" "f\\c2\\9b\\07" (func)) (func (export "_start")))`,
  ).toBinary({}).buffer,
);

/** Characters that a terminal obeys, or that nobody sees; lines and tabs are layout. */
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]/;

function expectVisible(words: readonly string[], ...texts: readonly string[]): void {
  for (const shown of texts) {
    const found = HIDDEN.exec(shown);
    const where = found === null ? '' : JSON.stringify(shown.slice(Math.max(0, found.index - 40)));
    expect(where, words.map((word) => JSON.stringify(word)).join(' ')).toBe('');
    // A line of its own would look as if it were ours; a log's lines are the guest's.
    const forged = shown.split('\n').some((line) => line.startsWith('error: fak'));
    if (!words.includes('logs')) expect(forged, words.join(' ')).toBe(false);
  }
}

const CASES: readonly (readonly string[])[] = [
  ['run', '--name', EVIL, module],
  ['run', '--json', '--dir', `${scratch}/${EVIL}`, module],
  ['run', '--env', EVIL, module],
  ['run', '--listen', EVIL, module],
  ['run', '--provider', EVIL, module],
  ['run', '--pool', EVIL, module],
  ['run', '--kv', EVIL, module],
  ['run', '--env-secret', EVIL, module],
  ['run', '--policy', EVIL, module],
  ['run', '--invoke', EVIL, module],
  ['run', '--fuel', EVIL, module],
  ['run', '--wasi', EVIL, module],
  ['run', badlyNamed],
  ['run', '--json', badlyNamed],
  ['run', unlinkable],
  ['run', '--json', unlinkable],
  ['run', EVIL],
  ['run', '--detach', '--rm', unlinkable, EVIL],
  ['ps'],
  ['ps', '--all'],
  ['ps', '--all', '--json'],
  ['ps', EVIL],
  ['logs', EVIL],
  ['logs', HARMLESS_NAME],
  ['logs', '--timestamps', HARMLESS_NAME],
  ['logs', '--json', HARMLESS_NAME],
  ['checkpoint', EVIL],
  ['checkpoint', HARMLESS_NAME],
  ['checkpoints', EVIL],
  ['checkpoints', '--owner', EVIL],
  ['checkpoints'],
  ['checkpoints', '--json'],
  ['restore', EVIL],
  ['restore', '--id', EVIL],
  ['restore', '--at', EVIL],
  ['restore', '--owner', EVIL, HARMLESS_NAME],
  ['restore', '--dry-run', HARMLESS_NAME],
  ['restore', '--dry-run', '--json', HARMLESS_NAME],
  ['restore', '--explain', HARMLESS_NAME],
  ['restore', '--explain', '--json', '--provider', EVIL, HARMLESS_NAME],
  ['grant', EVIL],
  ['grants'],
  ['kill', EVIL],
  ['kill', '--signal', EVIL, HARMLESS_NAME],
  ['forget', '--keep-last', EVIL],
  ['forget', '--keep-last', '9', EVIL],
  ['forget', '--keep-last', '9', '--dry-run'],
  ['forget', '--id', EVIL],
  ['audit'],
  ['audit', '--json'],
  ['audit', '--job', EVIL],
  ['audit', '--since', EVIL],
  ['doctor'],
  ['daemon', '--socket', `/dev/null/${EVIL}`, '--state', join(scratch, 'd')],
  ['daemon', '--policy', EVIL, '--state', join(scratch, 'd')],
  ['daemon', '--stop-within', EVIL],
  ['vault', 'stat'],
  ['vault', 'verify'],
  ['vault', 'verify', EVIL],
  ['vault', 'gc'],
  ['vault', 'backup', `/dev/null/${EVIL}/b`],
  ['vault', 'restore', `/dev/null/${EVIL}/b`],
  ['vault', 'rotate-key', EVIL],
  ['vault', 'shred-owner', EVIL],
  ['vault', 'accept-rollback', EVIL],
  ['vault', EVIL],
  ['rm', EVIL],
  [EVIL],
  [`--${EVIL}`],
  ['--host', EVIL, 'ps'],
  ['--key-file', `/dev/null/${EVIL}`, 'checkpoints'],
  ['--witness', `/dev/null/${EVIL}`, 'checkpoints'],
  ['--debug', 'logs', EVIL],
  // Last, as nothing is left of it.
  ['rm', '--force', HARMLESS_NAME],
];

beforeAll(async () => {
  const words = ['run', '--name', HARMLESS_NAME, '--checkpoint-at-call', '3', '--env', `E=${EVIL}`];
  const { status, stderr } = await cli([...words, module, EVIL]);
  // The guest's own stderr comes first.
  expect(status).toBe(EXIT_STATUS.trap);
  expectVisible(words, stderr.slice(stderr.indexOf('stasis:')));
});

test('no command prints what a terminal would obey', async () => {
  const tried = new Set<string>();
  for (const words of CASES) {
    const { stdout, stderr } = await cli(words);
    tried.add(words[0] === 'vault' ? `vault ${words[1]}` : words[0]!);
    expect(stdout + stderr, words.join(' ')).not.toBe(words[0] === 'grants' ? null : '');
    // Of a guest that runs in the foreground the streams are its own.
    const [out, err] = [stdout, stderr].map((shown) => shown.replace(GUEST_WROTE, ''));
    expectVisible(words, out!, err!);
  }
  const help = await cli(['--help']);
  const vault = await cli(['vault', '--help']);
  const commands = [...names(help.stdout), ...names(vault.stdout).map((name) => `vault ${name}`)];
  const left = commands.filter((name) => !tried.has(name) && name !== 'vault');
  console.log(`${CASES.length} command lines, ${commands.length} commands`);
  expect(commands.length).toBeGreaterThan(15);
  expect(left).toEqual([]);
});

function names(help: string): string[] {
  const list = help.slice(help.indexOf('Commands:'));
  return [...list.matchAll(/^ {2}([a-z][a-z-]+)/gm)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'help' && name !== 'stasis');
}

test('logs are shown with what is in them; --raw gives the bytes, to no terminal', async () => {
  await cli(['run', '--name', 'raw', module]);
  const shown = await cli(['logs', 'raw']);
  expect(shown.stdout).toContain('a\\u{1b}[31m\\u{1b}]52;c;aGk=\\u{7}\\u{9b}2J\\u{202e}gnp.exe');
  const raw = spawnSync(process.execPath, ['dist/cli/main.js', 'logs', '--raw', 'raw'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], STASIS_HOME: home },
  });
  expect([...raw.stdout]).toEqual(outputBytes);
  expect([...raw.stderr]).toEqual(outputBytes);
  const command = `${process.execPath} dist/cli/main.js logs --raw raw`;
  const onTerminal = spawnSync('script', ['-qec', command, '/dev/null'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], STASIS_HOME: home },
    encoding: 'utf8',
  });
  if (onTerminal.error !== undefined) {
    console.log('no terminal was tried: there is no script(1)');
    return;
  }
  expect(onTerminal.stdout).toContain('(ERR_USAGE)');
  expect(onTerminal.stdout).not.toContain('gnp.exe');
});
