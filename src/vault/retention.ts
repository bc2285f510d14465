/**
 * Which checkpoints to keep, as users of restic know it. Of one job's checkpoints, newest first:
 *
 *   last n      the newest n
 *   hourly n    of the newest n hours that have any, the newest of each; daily, weekly, monthly, yearly alike
 *   within d    all that are no more than d older than the newest
 *
 * What any of them keeps is kept. Where an hourly, daily, … count is not used up by the oldest checkpoint,
 * that one is kept too, so that history reaches as far back as it can. Hours, days and weeks (ISO 8601) are
 * those of UTC.
 */
export interface RetentionPolicy {
  /** Infinity: all. */
  readonly last?: number;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  readonly within?: Duration;
}

export interface Duration {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: number;
}

interface Bucket {
  left: number;
  last: string | null;
  readonly nameOf: (time: Date, position: number) => string;
}

/** Whether the policy says anything: one that doesn't must not be taken for one that keeps nothing. */
export function isEmptyPolicy(policy: RetentionPolicy): boolean {
  const { within, ...counts } = policy;
  return within === undefined && Object.values(counts).every((count) => (count ?? 0) === 0);
}

/** Those of `times`, newest first, that the policy keeps: one answer each, in their order. */
export function selectKept(times: readonly Date[], policy: RetentionPolicy): readonly boolean[] {
  const buckets: Bucket[] = [
    bucket(policy.last, (_, position) => String(position)),
    bucket(policy.hourly, (time) => time.toISOString().slice(0, 13)),
    bucket(policy.daily, (time) => time.toISOString().slice(0, 10)),
    bucket(policy.weekly, isoWeek),
    bucket(policy.monthly, (time) => time.toISOString().slice(0, 7)),
    bucket(policy.yearly, (time) => time.toISOString().slice(0, 4)),
  ];
  const newest = times[0];
  const after =
    newest === undefined || policy.within === undefined ? null : before(newest, policy.within);
  return times.map((time, position) => {
    let keep = after !== null && time.getTime() > after.getTime();
    for (const one of buckets) {
      if (one.left <= 0) continue;
      const name = one.nameOf(time, position);
      if (name === one.last && position !== times.length - 1) continue;
      keep = true;
      one.last = name;
      one.left--;
    }
    return keep;
  });
}

function bucket(count: number | undefined, nameOf: Bucket['nameOf']): Bucket {
  return { left: count ?? 0, last: null, nameOf };
}

/** Year and week as ISO 8601 counts them: the week of a Thursday is of the Thursday's year. */
function isoWeek(time: Date): string {
  const thursday = new Date(time);
  thursday.setUTCDate(time.getUTCDate() + 3 - ((time.getUTCDay() + 6) % 7));
  const year = thursday.getUTCFullYear();
  const days =
    (Date.UTC(year, thursday.getUTCMonth(), thursday.getUTCDate()) - Date.UTC(year, 0)) / 864e5;
  return `${year} ${Math.floor(days / 7) + 1}`;
}

function before(time: Date, { years, months, days, hours }: Duration): Date {
  const result = new Date(time);
  result.setUTCFullYear(
    time.getUTCFullYear() - years,
    time.getUTCMonth() - months,
    time.getUTCDate() - days,
  );
  return new Date(result.getTime() - hours * 36e5);
}
