/**
 * The policy file's shape: JSON that a person writes.
 *
 * Written with valibot, unlike the shapes of what programs write (`cbor/shape.ts`): those refuse without
 * naming what they found, since it may be an enemy's. Here the reader is whoever wrote the file, most of
 * it is optional, and every mistake is to be told at once.
 */
import * as v from 'valibot';
import type { Policy, PolicyPart } from './policy.ts';

export const POLICY_VERSION = 1;

const count = v.nullable(
  v.pipe(v.number('has to be a number, or null for no cap'), v.safeInteger(), v.minValue(0)),
);
const path = v.pipe(v.string(), v.startsWith('/', 'has to be an absolute path'));
const paths = v.nullable(v.array(path));
const listenPattern = v.pipe(
  v.string(),
  v.regex(/^(\*|\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\*|\d{1,5})$/, 'has to be HOST:PORT, where * is any'),
);
const engine = v.pipe(v.string(), v.startsWith('v8 ', 'has to begin with "v8 ", as in v8 14.*'));

const part = v.strictObject({
  caps: v.optional(
    v.strictObject({
      jobs: v.optional(count),
      memoryBytes: v.optional(count),
      logBytes: v.optional(count),
      vaultBytes: v.optional(count),
      checkpoints: v.optional(count),
    }),
  ),
  grants: v.optional(
    v.strictObject({
      dirs: v.optional(
        v.nullable(v.array(v.strictObject({ path, access: v.picklist(['ro', 'rw']) }))),
      ),
      listen: v.optional(v.nullable(v.array(listenPattern))),
      pools: v.optional(paths),
      kv: v.optional(paths),
      providers: v.optional(paths),
      env: v.optional(
        v.pipe(
          v.union([v.literal(true), v.null(), v.array(v.string())], 'has to be true or a list'),
          // true says in a file what null says here: all of them.
          v.transform((names) => (names === true ? null : names)),
        ),
      ),
      stdin: v.optional(v.boolean()),
    }),
  ),
});

const policyShape = v.strictObject({
  version: v.literal(POLICY_VERSION, `has to be ${POLICY_VERSION}`),
  defaults: v.optional(part, {}),
  owners: v.optional(
    v.record(v.pipe(v.string(), v.regex(/^uid:\d+$/, 'is no owner; write uid:1000')), part),
    {},
  ),
  software: v.optional(
    v.strictObject({
      accept: v.optional(
        v.strictObject({
          engine: v.optional(v.array(engine), []),
          host: v.optional(v.array(v.string()), []),
          providers: v.optional(v.array(v.string()), []),
        }),
        {},
      ),
    }),
    {},
  ),
});

/** The policy that `value`, parsed JSON, describes; or what is wrong with it, each with its path. */
export function parsePolicy(value: unknown): Policy | { readonly problems: readonly string[] } {
  const parsed = v.safeParse(policyShape, value);
  if (!parsed.success) return { problems: parsed.issues.map(describe) };
  const { defaults, owners, software } = parsed.output;
  return {
    defaults: defaults satisfies PolicyPart,
    owners: new Map<string, PolicyPart>(Object.entries(owners)),
    accept: software.accept,
  };
}

function describe(issue: v.BaseIssue<unknown>): string {
  const where = v.getDotPath(issue) ?? 'the whole';
  const last = issue.path?.at(-1);
  if (issue.type === 'strict_object' && issue.expected === 'never') return `${where} is not known`;
  if (issue.type === 'strict_object' && last !== undefined && last.value === undefined) {
    return `${where} is missing`;
  }
  // The messages that are given above complete a sentence; the library's own do not.
  return /^(has|is) /.test(issue.message)
    ? `${where} ${issue.message}`
    : `${where} has to be ${issue.expected ?? 'something else'}, not ${issue.received}`;
}
