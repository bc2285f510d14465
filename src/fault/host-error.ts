/**
 * The host's own failures: one class, one table of codes.
 *
 * A guest's failure is an errno and a guest's ending is a value; neither is ever a `HostError`. Our own
 * bugs are `AssertionError`s (see `assert.ts`). Everything that a user can cause or mend is here.
 *
 * Invariants:
 * 1. `message` is one sentence, without image bytes, keys, or unescaped guest text.
 * 2. `hint` says what to try, when there is something to try.
 * 3. Every code has a row in `codes.ts`, and every row a paragraph in `docs/errors.md`.
 */
import type { ErrorCode } from './codes.ts';

export type Facts = Readonly<Record<string, string | number | boolean | null>>;

export class HostError extends Error {
  readonly code: ErrorCode;
  readonly facts: Facts;
  readonly hint: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { facts?: Facts; hint?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HostError';
    this.code = code;
    this.facts = options.facts ?? {};
    this.hint = options.hint;
  }
}
