import { describe, expect, test } from 'vitest';
import {
  parseBytes,
  parseCount,
  parseDurationMs,
  parseFuel,
  parseStamp,
} from '../../src/cli/quantities.ts';

const usage = expect.objectContaining({ code: 'ERR_USAGE' });

describe('durations', () => {
  test.each([
    ['1ms', 1],
    ['500ms', 500],
    ['1s', 1000],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['596h', 2_145_600_000],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each(['', '1', 's', '0s', '-1s', '1 s', '1d', '1e3s', '597h', '0.0001ms', '١s'])(
    '%j is none',
    (text) => {
      expect(() => parseDurationMs(text)).toThrow(usage);
    },
  );
});

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['65536', 65_536],
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2 ** 31],
    ['1MB', 1_000_000],
    ['7B', 7],
  ])('%s is %i bytes', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each(['', '-1', '1.5MiB', '1mb', '1 MiB', '1TiB', 'MiB', '999999999999999GiB', 'iB', '1iB'])(
    '%j is none',
    (text) => {
      expect(() => parseBytes(text)).toThrow(usage);
    },
  );
});

test('counts and fuel are whole numbers in a range', () => {
  expect(parseCount('10', 0, 10)).toBe(10);
  expect(() => parseCount('11', 0, 10)).toThrow(usage);
  expect(() => parseCount('x', 0, 10)).toThrow(usage);
  expect(parseFuel('9223372036854775807')).toBe('9223372036854775807');
  expect(parseFuel('007')).toBe('7');
  for (const text of ['0', '-1', '9223372036854775808', '1.0', '']) {
    expect(() => parseFuel(text)).toThrow(usage);
  }
});

describe('stamps', () => {
  test.each([
    ['2026-11-23T09:30:00.123Z', '2026-11-23T09:30:00.123Z'],
    ['2026-11-23T09:30Z', '2026-11-23T09:30:00.000Z'],
    ['2026-11-23T10:30:00+01:00', '2026-11-23T09:30:00.000Z'],
    ['2026-11-23', '2026-11-23T00:00:00.000Z'],
  ])('%s is %s', (text, stamp) => {
    expect(parseStamp(text)).toBe(stamp);
  });

  test.each(['', 'yesterday', '2026-13-01', '2026-11-23 09:30', '2026-11-23T09:30:00', '1'])(
    '%j is none',
    (text) => {
      expect(() => parseStamp(text)).toThrow(usage);
    },
  );
});
