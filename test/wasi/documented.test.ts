/** `docs/wasi.md` is about the calls that there are: all of them, once. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ALL_CALLS } from '../differential/all-calls.ts';
import { ROOT } from '../e2e/stasis-command.ts';
import { createHost, removeHost, startGuest } from './harness.ts';

test('the table lists every call of the specification and of the code, once', () => {
  const text = readFileSync(join(ROOT, 'docs', 'wasi.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (.*) \| .*\|$/gm)];
  const documented = rows.map(([, name]) => name!);
  for (const [, name, does] of rows) expect(does!.length, name).toBeGreaterThan(5);
  const host = createHost();
  const guest = startGuest(host);
  const provided = Object.keys(guest.calls);
  guest.resources.close();
  removeHost(host);
  expect(ALL_CALLS).toHaveLength(46);
  expect(provided.sort()).toEqual([...ALL_CALLS].sort());
  expect(documented.sort()).toEqual([...ALL_CALLS].sort());
});
