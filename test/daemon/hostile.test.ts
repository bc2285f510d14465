/** THREATS case 22 and the control protocol: clients that send rubbish, half of something, or far too much. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../cli/run-cli.ts';
import { ALICE, BOB, DaemonUnderTest, IS_ROOT } from './daemon-under-test.ts';

const PEST = fileURLToPath(new URL('./pest.ts', import.meta.url));
const daemon = new DaemonUnderTest();
const pests: ChildProcess[] = [];

beforeAll(() => daemon.start());
afterAll(() => {
  for (const pest of pests) pest.kill('SIGKILL');
});

/** What Bob is told, who misuses the socket; he stays where the way is one to stay. */
function misuse(way: string): Promise<Record<string, unknown>> {
  const child = spawn(process.execPath, [PEST, daemon.socket, way], {
    ...(IS_ROOT ? BOB : {}),
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  pests.push(child);
  return new Promise((resolve, reject) => {
    createInterface(child.stdout!).once('line', (line) => resolve(JSON.parse(line)));
    child.once('error', reject);
  });
}

test('rubbish is refused by name, whatever it is, and a forged owner with it', async () => {
  const told = await misuse('rubbish');
  console.log(`rubbish: ${JSON.stringify(told)}`);
  expect(Object.keys(told)).toHaveLength(13);
  expect(new Set(Object.values(told))).toEqual(new Set(['ERR_PROTOCOL', 'ERR_MALFORMED_CBOR']));
  expect((await daemon.ask(ALICE, ['ps'])).status).toBe(0);
});

test('a thousand silent connections of one user keep nobody else waiting', async () => {
  const told = (await misuse('crowd')) as Record<string, number>;
  console.log(`a thousand connections: ${JSON.stringify(told)}`);
  // Eight are being served and sixty-four wait; the others are told, or hung up on when there are too many to tell.
  expect(told['waits']).toBeLessThanOrEqual(72);
  expect(told['ERR_BUSY']).toBeGreaterThan(100);
  if (!IS_ROOT) return;
  const { status, stderr } = await daemon.ask(ALICE, ['ps']);
  expect([status, stderr]).toEqual([0, '']);
});

test('who does not read keeps only his own place', async () => {
  for (const pest of pests.splice(0)) pest.kill('SIGKILL');
  const words = ['run', '--detach', '--name', 'long', 'guests/build/sleeping-poll.wasm', '100000'];
  // Bob's queue empties as his attendants notice that he is gone.
  for (let status = -1; status !== 0; ) status = (await daemon.ask(BOB, words)).status ?? -1;
  expect(await misuse('deaf')).toBe('asked');
  expect((await daemon.ask(BOB, ['ps', '--json'])).stdout).toContain('"running"');
  expect((await daemon.ask(ALICE, ['ps'])).status).toBe(0);
  expect((await daemon.ask(BOB, ['kill', 'long'])).status).toBe(0);
});

test('the daemon is as large as before', async () => {
  const { readFileSync } = await import('node:fs');
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'latin1');
  const residentKib = Number(/^VmRSS:\s*(\d+)/m.exec(status)![1]);
  console.log(`the daemon has ${Math.round(residentKib / 1024)} MiB`);
  expect(residentKib).toBeLessThan(512 * 1024);
});
