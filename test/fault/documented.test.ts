import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERROR_CODES } from '../../src/fault/codes.ts';
import { EXIT_STATUS } from '../../src/fault/exit-status.ts';

const document = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

test('docs/errors.md has every error code with its exit status, and no other', () => {
  const rows = Array.from(document.matchAll(/^\| `(ERR_\w+)` \| (\d+) \| (.+) \|$/gm));
  const told = Object.fromEntries(rows.map(([, code, status]) => [code, Number(status)]));
  expect(rows.length).toBeGreaterThan(30);
  expect(told).toEqual({ ...ERROR_CODES });
});

test('docs/errors.md has every exit status, and no other', () => {
  const rows = Array.from(document.matchAll(/^\| (\d+)(?: \+ N)? \| `(\w+)` \| .+ \|$/gm));
  const told = Object.fromEntries(rows.map(([, status, name]) => [name, Number(status)]));
  const { success, ...others } = EXIT_STATUS;
  expect(told).toEqual(others);
  expect(success).toBe(0);
  expect(document).toContain('exits with 0\n(`success`)');
});

test('error codes give only the three statuses that are meant for them', () => {
  const { hostFailure, notRunnable, noSuchFile } = EXIT_STATUS;
  expect(new Set(Object.values(ERROR_CODES))).toEqual(
    new Set([hostFailure, notRunnable, noSuchFile]),
  );
});

test('exit statuses are all different', () => {
  const statuses = Object.values(EXIT_STATUS);
  expect(new Set(statuses).size).toBe(statuses.length);
});
