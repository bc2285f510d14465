/**
 * Amounts as users write them: `1s`, `64MiB`, `1000000`.
 */
import { HostError } from '../fault/host-error.ts';

const MS_BY_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** A timer of Node can't wait longer: 2^31 − 1 ms, some 24 days. */
const DURATION_MS_MAX = 0x7fff_ffff;

const BYTES_BY_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

function usage(what: string, text: string, hint: string): HostError {
  return new HostError('ERR_USAGE', `${JSON.stringify(text)} is not ${what}.`, { hint });
}

/** Milliseconds, 1 or more. Throws ERR_USAGE. */
export function parseDurationMs(text: string): number {
  const found = /^(\d{1,10}(?:\.\d{1,6})?)(ms|s|m|h)$/.exec(text);
  const ms = found === null ? 0 : Math.round(Number(found[1]) * MS_BY_UNIT[found[2]!]!);
  if (ms >= 1 && ms <= DURATION_MS_MAX) return ms;
  throw usage('a duration of 1 ms to 24 days', text, 'write it as 500ms, 1.5s, 2m or 1h');
}

/** Years, months, days and hours, each at most once, in this order: `2y5m7d3h`. Throws ERR_USAGE. */
export function parseSpan(text: string): {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: number;
} {
  const found = /^(?:(\d{1,4})y)?(?:(\d{1,4})m)?(?:(\d{1,5})d)?(?:(\d{1,6})h)?$/.exec(text);
  const [years, months, days, hours] = [1, 2, 3, 4].map((at) => Number(found?.[at] ?? 0));
  if (found === null || !(years! + months! + days! + hours! > 0)) {
    throw usage('a span of time', text, 'write it as 36h, 7d, 1m or 1y6m7d12h; m are months');
  }
  return { years: years!, months: months!, days: days!, hours: hours! };
}

/** Bytes. Throws ERR_USAGE. */
export function parseBytes(text: string): number {
  const found = /^(\d{1,15})([KMG]?i?B|)$/.exec(text);
  const unit = found === null ? undefined : BYTES_BY_UNIT[found[2]!];
  const bytes = unit === undefined ? Number.NaN : Number(found![1]) * unit;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw usage('a size', text, 'write it as 65536, 64MiB or 1GiB');
}

/** A whole number from `min` to `max`. Throws ERR_USAGE. */
export function parseCount(text: string, min: number, max: number): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= min && count <= max) return count;
  throw usage(`a whole number from ${min} to ${max}`, text, 'write it in decimal digits');
}

/** Units of fuel, up to 2^63 − 1, in decimal. Throws ERR_USAGE. */
export function parseFuel(text: string): string {
  const fuel = /^\d{1,19}$/.test(text) ? BigInt(text) : -1n;
  if (fuel >= 1n && fuel < 2n ** 63n) return String(fuel);
  throw usage('an amount of fuel', text, 'write a whole number from 1 to 9223372036854775807');
}

/** ISO 8601 in UTC with milliseconds, as stamps are. Throws ERR_USAGE. */
export function parseStamp(text: string): string {
  const hint = 'write it as 2026-11-23T09:30:00Z; stasis checkpoints shows the stamps';
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text)) {
    throw usage('a date-time stamp', text, hint);
  }
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw usage('a date-time stamp', text, hint);
  return new Date(time).toISOString();
}
