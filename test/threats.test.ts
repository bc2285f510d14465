/** docs/threats.md is true: the cases it has to name are there, and each test that it names stands in its file. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const PAGE = readFileSync(join(ROOT, 'docs', 'threats.md'), 'utf8');
const CASES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 21, 22, 23, 25];

interface Named {
  readonly file: string;
  readonly title: string;
}

function testsIn(text: string): Named[] {
  return [...text.matchAll(/^- `(test\/[^`]+)`: (.+)$/gm)].map(([, file, title]) => ({
    file: file!,
    title: title!,
  }));
}

/** Within a quoted text of the source, which may begin before it. */
function hasTitle(source: string, title: string): boolean {
  const text = title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll("'", "\\\\?'");
  return new RegExp(`['"\`][^'"\`\n]*${text}`).test(source);
}

test('every case has tests, and no case is missing', () => {
  const sections = PAGE.split(/^### /m).slice(1);
  const numbers = sections.map((section) => Number.parseInt(section, 10));
  expect(numbers).toEqual(CASES);
  for (const section of sections) {
    expect(testsIn(section.split(/^## /m)[0]!).length, section.split('\n')[0]).toBeGreaterThan(0);
  }
});

test('every test that is named stands in its file', () => {
  const named = testsIn(PAGE);
  expect(named.length).toBeGreaterThan(CASES.length * 2);
  for (const { file, title } of named) {
    const path = join(ROOT, file);
    expect(existsSync(path), file).toBe(true);
    expect(hasTitle(readFileSync(path, 'utf8'), title), `${file}: ${title}`).toBe(true);
  }
});
