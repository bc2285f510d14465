/**
 * What is said, and what is still held, on a kernel that lacks Landlock, seccomp, or both.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { CONFINEMENTS } from '../../src/confine/confinement.ts';
import { type CliResult, cliIn, ROOT } from '../cli/run-cli.ts';
import { scratchDirectory } from '../host/scratch.ts';

const scratch = scratchDirectory();
const cli = cliIn(join(scratch, 'home'));
const entry = fileURLToPath(new URL('older-kernel.ts', import.meta.url));
const guest = join(ROOT, 'guests', 'build', 'nqueens.wasm');
const LANDLOCK = ['files', 'network', 'signals'];

function lacking(calls: string, words: readonly string[]): Promise<CliResult> {
  return cli(words, { through: [entry, calls] });
}

describe.runIf(process.platform === 'linux').each([
  ['landlock', LANDLOCK],
  ['seccomp', ['calls']],
  ['landlock,seccomp', [...LANDLOCK, 'calls']],
])('a kernel without %s', (calls, missing) => {
  test('is told of by doctor', async () => {
    const { status, stdout, stderr } = await lacking(calls, ['doctor', '--json']);
    expect(stderr).toBe('');
    expect(status).toBe(1);
    expect(JSON.parse(stdout).missing).toEqual(missing);
  });

  test('confines by what it has', async () => {
    const { status, stdout, stderr } = await lacking(calls, ['run', '--json', guest, '6']);
    expect(status).toBe(0);
    expect(stdout).toContain('6 queens: 4 solutions');
    const { held } = JSON.parse(stderr);
    expect(held).toEqual(CONFINEMENTS.filter((one) => !missing.includes(one)));
  });

  test('is not enough where all is required, and nothing runs', async () => {
    const words = ['run', '--confine', 'require', '--name', 'strict', guest, '6'];
    const { status, stdout, stderr } = await lacking(calls, words);
    expect([status, stdout]).toEqual([125, '']);
    expect(stderr).toContain('(ERR_CANNOT_CONFINE)');
    expect(stderr).toContain(`missing: ${missing.join(', ')}`);
    expect((await cli(['ps', '--all', '--json'])).stdout).toBe('{"jobs":[]}\n');
  });
});

test('doctor shows people what is missing', async () => {
  const { stdout } = await lacking('landlock', ['doctor']);
  expect(stdout).toMatch(/^files +no +only Node's permission model does$/m);
  expect(stdout).toMatch(/^calls +yes /m);
  expect(stdout).toContain(`Missing: ${LANDLOCK.join(', ')}.`);
});

test('without confinement a run says so, and the receipt is empty', async () => {
  const { status, stderr } = await cli(['run', '--confine', 'off', '--json', guest, '6']);
  expect(status).toBe(0);
  const [warning, report] = stderr.split('\n');
  expect(warning).toBe("stasis: the kernel does not confine the guest's process (--confine off)");
  expect(JSON.parse(report!).held).toEqual([]);
});

test('a way of confining that is none is refused', async () => {
  const { status, stderr } = await cli(['run', '--confine', 'maybe', guest]);
  expect(status).toBe(125);
  expect(stderr).toContain('auto, require, off');
});

test('doctor says that nothing is missing here, or what', async () => {
  const { status, stdout } = await cli(['doctor', '--json']);
  const found = JSON.parse(stdout) as { readonly missing: readonly string[] };
  expect(status).toBe(found.missing.length === 0 ? 0 : 1);
  console.log(`doctor: missing here: ${found.missing.join(', ') || 'nothing'}`);
});
