/** Retention means what restic's users expect; the examples are from its documentation's rules. */
import { expect, test } from 'vitest';
import { isEmptyPolicy, type RetentionPolicy, selectKept } from '../../src/vault/retention.ts';

/** Newest first. */
function kept(stamps: readonly string[], policy: RetentionPolicy): string[] {
  const times = stamps.map((stamp) => new Date(stamp));
  return stamps.filter((_, index) => selectKept(times, policy)[index]);
}

const HOURLY = Array.from({ length: 48 }, (_, hour) =>
  new Date(Date.UTC(2026, 10, 23, 12, 30) - hour * 36e5).toISOString(),
);

test('the newest n are kept, and all with Infinity', () => {
  expect(kept(HOURLY, { last: 3 })).toEqual(HOURLY.slice(0, 3));
  expect(kept(HOURLY, { last: Number.POSITIVE_INFINITY })).toEqual(HOURLY);
});

test('of each hour, day, week, month and year the newest is kept', () => {
  const twice = HOURLY.flatMap((stamp) => [stamp, stamp.replace(':30:', ':10:')]);
  expect(kept(twice, { hourly: 2 })).toEqual([twice[0], twice[2]]);
  // The third day is used up by the oldest.
  expect(kept(HOURLY, { daily: 2 })).toEqual([HOURLY[0], HOURLY[13]]);
  const years = [
    '2026-06-01',
    '2026-05-31',
    '2025-12-31',
    '2025-01-01',
    '2024-07-01',
    '2023-07-01',
  ];
  expect(kept(years, { yearly: 3 })).toEqual(['2026-06-01', '2025-12-31', '2024-07-01']);
  expect(kept(years, { monthly: 2 })).toEqual(['2026-06-01', '2026-05-31']);
});

test('weeks are those of ISO 8601, over the turn of a year', () => {
  // 2024-12-30 is the Monday of the first week of 2025.
  const days = ['2025-01-05', '2025-01-01', '2024-12-30', '2024-12-29', '2024-12-23', '2024-12-22'];
  expect(kept(days, { weekly: 2 })).toEqual(['2025-01-05', '2024-12-29']);
  const before = ['2021-01-03', '2020-12-28', '2020-12-27'];
  expect(kept(before, { weekly: 2 })).toEqual(['2021-01-03', '2020-12-27']);
});

test('the oldest is kept while a count is not used up', () => {
  const days = ['2026-03-03T10:00Z', '2026-03-02T10:00Z', '2026-03-02T09:00Z'];
  expect(kept(days, { daily: 5 })).toEqual(days);
  expect(kept(days, { daily: 2 })).toEqual(days.slice(0, 2));
});

test('within counts from the newest, not from now', () => {
  const within = { years: 0, months: 0, days: 1, hours: 6 };
  expect(kept(HOURLY, { within })).toEqual(HOURLY.slice(0, 30));
  const month = { years: 0, months: 1, days: 0, hours: 0 };
  expect(kept(['2026-03-31', '2026-03-02', '2026-02-27'], { within: month })).toEqual([
    '2026-03-31',
    // One month before 31 March is 31 February, which is 3 March.
  ]);
  expect(kept(['2026-04-15', '2026-03-16', '2026-03-15'], { within: month })).toEqual([
    '2026-04-15',
    '2026-03-16',
  ]);
});

test('what any rule keeps is kept, and nothing is said by nothing', () => {
  expect(kept(HOURLY, { last: 1, daily: 2 })).toEqual([HOURLY[0], HOURLY[13]]);
  expect(kept([], { last: 1 })).toEqual([]);
  expect(isEmptyPolicy({})).toBe(true);
  expect(isEmptyPolicy({ hourly: 0 })).toBe(true);
  expect(isEmptyPolicy({ hourly: 1 })).toBe(false);
  expect(isEmptyPolicy({ within: { years: 0, months: 0, days: 0, hours: 1 } })).toBe(false);
});
