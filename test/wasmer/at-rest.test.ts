/**
 * The ground on which the other layer is captured: every call of the package, whatever it is given,
 * leaves its table of objects and its stack as they were, or breaks down and says so.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newChance } from '../e2e/random-source.ts';
import { createHost, type Host, removeHost } from '../wasi/harness.ts';
import { captureWasmer, startWasmer, type WasmerGuest } from './wasmer-guest.ts';

const CALLS = process.env['STASIS_NIGHTLY'] === '1' ? 40_000 : 6000;
/** Parameters by call: `i` an i32, `I` an i64. Those that wait or end the guest are elsewhere. */
const PARAMETERS: Readonly<Record<string, string>> = {
  args_get: 'ii',
  args_sizes_get: 'ii',
  clock_res_get: 'ii',
  clock_time_get: 'iIi',
  environ_get: 'ii',
  environ_sizes_get: 'ii',
  fd_advise: 'iIIi',
  fd_allocate: 'iII',
  fd_close: 'i',
  fd_datasync: 'i',
  fd_fdstat_get: 'ii',
  fd_fdstat_set_flags: 'ii',
  fd_fdstat_set_rights: 'iII',
  fd_filestat_get: 'ii',
  fd_filestat_set_size: 'iI',
  fd_filestat_set_times: 'iIIi',
  fd_pread: 'iiiIi',
  fd_prestat_dir_name: 'iii',
  fd_prestat_get: 'ii',
  fd_pwrite: 'iiiIi',
  fd_read: 'iiii',
  fd_readdir: 'iiiIi',
  fd_renumber: 'ii',
  fd_seek: 'iIii',
  fd_sync: 'i',
  fd_tell: 'ii',
  fd_write: 'iiii',
  path_create_directory: 'iii',
  path_filestat_get: 'iiiii',
  path_filestat_set_times: 'iiiiIIi',
  path_link: 'iiiiiii',
  path_open: 'iiiiiIIii',
  path_readlink: 'iiiiii',
  path_remove_directory: 'iii',
  path_rename: 'iiiiii',
  path_symlink: 'iiiii',
  path_unlink_file: 'iii',
  random_get: 'ii',
  sched_yield: '',
  sock_recv: 'iiiiii',
  sock_send: 'iiiii',
  sock_shutdown: 'ii',
};
const NAMES = Object.keys(PARAMETERS);
const PATHS = ['f', 'd', 'd/x', '.', '..', '/etc/x', '', 'a/b/c', 'f/', '\0'];
const AT = { path: 1000, iovecs: 16, data: 2000 };

const chance = newChance();
let host: Host;
beforeAll(() => {
  host = createHost();
  host.stdin.push('end');
});
afterAll(() => removeHost(host));

const oneOf = <T>(values: readonly T[]): T => values[chance.below(values.length)]!;

/** Mostly things that mean something; sometimes anything. */
function number(): number {
  if (chance.below(4) > 0) return oneOf([3, 4, 5, 6, AT.path, AT.iovecs, AT.data, chance.below(8)]);
  return oneOf([0, -1, 0x7fff_ffff, 4 * 65_536, chance.below(70_000)]);
}

function wide(): bigint {
  if (chance.below(3) > 0) return BigInt(chance.below(300));
  return oneOf([-1n, 2n ** 20n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 32n]);
}

function scribble({ memory }: WasmerGuest): void {
  for (let entry = 0; entry < 4; entry++) {
    memory.view.setUint32(AT.iovecs + entry * 8, AT.data + chance.below(500), true);
    memory.view.setUint32(AT.iovecs + entry * 8 + 4, chance.below(100), true);
  }
  const path = Buffer.from(oneOf(PATHS));
  memory.bytes.set(path, AT.path);
}

test('random calls leave the package at rest, or break it and say so', async () => {
  const broken = new Map<string, number>();
  const answers = new Map<number, number>();
  let layers = 0;
  let guest: WasmerGuest | null = null;
  for (let made = 0; made < CALLS; made++) {
    if (guest === null) layers += 1;
    guest ??= startWasmer(host);
    scribble(guest);
    const name = oneOf(NAMES);
    const args = [...PARAMETERS[name]!].map((kind) => (kind === 'i' ? number() : wide()));
    const what = `seed ${chance.seed}, call ${made}: ${name}(${args.join(', ')})`;
    let errno: number | null = null;
    try {
      errno = guest.calls[name]!(...args);
    } catch (error) {
      expect((error as Error).message, what).toContain(`@wasmer/wasi broke down in ${name}: `);
      // What is refused to the package once it is sealed, no call needs.
      expect((error as Error).message, what).not.toContain('it reached for');
      broken.set(name, (broken.get(name) ?? 0) + 1);
    }
    if (errno === null) {
      await expect(captureWasmer(guest), what).rejects.toMatchObject({
        code: 'ERR_NOT_CAPTURABLE',
      });
      guest = null;
    } else {
      answers.set(errno, (answers.get(errno) ?? 0) + 1);
      // Rejects when the table or the stack is not as it was.
      await Promise.resolve(guest.layer.provider.prepare()).catch((error: Error) => {
        throw new Error(what, { cause: error });
      });
    }
  }
  expect(answers.get(0) ?? 0).toBeGreaterThan(CALLS / 20);
  const breaks = [...broken.values()].reduce((sum, count) => sum + count, 0);
  process.stdout.write(
    `at rest: ${CALLS} random calls on ${layers} layers, ${answers.get(0)} succeeded, ` +
      `${breaks} broke the package, in ${[...broken.keys()].sort().join(' ')}; seed ${chance.seed}\n`,
  );
});
