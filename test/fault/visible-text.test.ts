import { expect, test } from 'vitest';
import { visibleJson, visibleOutput, visibleText } from '../../src/fault/visible-text.ts';

test.each([
  ['an escape sequence', '\u001b[31mred', '\\u{1b}[31mred'],
  ['a C1 control', '\u009b31m', '\\u{9b}31m'],
  ['a line end', 'a\nb\r', 'a\\u{a}b\\u{d}'],
  ['a bidi override', 'exe.\u202efdp', 'exe.\\u{202e}fdp'],
  ['a bidi isolate', '\u2066x\u2069', '\\u{2066}x\\u{2069}'],
  ['a zero-width space', 'a\u200bb', 'a\\u{200b}b'],
  ['a line separator', 'a\u2028b', 'a\\u{2028}b'],
  ['half a surrogate pair', 'a\ud800b\udc00', 'a\\u{d800}b\\u{dc00}'],
  ['NUL and DEL', '\0\u007f', '\\u{0}\\u{7f}'],
  ['ordinary text of any script', 'Grüße, 世界 😀', 'Grüße, 世界 😀'],
])('%s is shown', (_, text, shown) => {
  expect(visibleText(text)).toBe(shown);
});

test('long text is cut', () => {
  expect(visibleText('x'.repeat(100), 10)).toBe(`${'x'.repeat(10)}…`);
});

test('output keeps its lines and tabs, and its length', () => {
  const text = `${'x'.repeat(5000)}\n\ty\u001b]0;title\u0007`;
  expect(visibleOutput(text)).toBe(`${'x'.repeat(5000)}\n\ty\\u{1b}]0;title\\u{7}`);
});

test('JSON says the same, and shows what is hidden', () => {
  const value = { 'k\u009b': ['\u202ea\u001b]52;c;x\u0007', '\u007f\u2028', 'Grüße 😀', 1, null] };
  const text = visibleJson(value);
  expect(JSON.parse(text)).toEqual(value);
  expect(text).toBe(
    '{"k\\u009b":["\\u202ea\\u001b]52;c;x\\u0007","\\u007f\\u2028","Grüße 😀",1,null]}',
  );
});
