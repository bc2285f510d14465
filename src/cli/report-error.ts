/**
 * How a failure is shown: `error: one sentence (ERR_CODE)`, the facts, and what to try.
 */
import { styleText } from 'node:util';
import { ERROR_CODES, type ErrorCode } from '../fault/codes.ts';
import { EXIT_STATUS } from '../fault/exit-status.ts';
import { type Facts, HostError } from '../fault/host-error.ts';
import { visibleJson, visibleOutput, visibleText } from '../fault/visible-text.ts';

export interface ErrorObject {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
  readonly facts: Facts;
}

export function errorObject({ code, message, hint, facts }: HostError): ErrorObject {
  return { code, message, hint: hint ?? null, facts };
}

/** The error that an object from another process stands for. */
export function errorFromObject({ code, message, hint, facts }: ErrorObject): HostError {
  return new HostError(code, message, { facts, ...(hint === null ? {} : { hint }) });
}

export interface ErrorStyle {
  readonly json: boolean;
  readonly debug: boolean;
  readonly stream: NodeJS.WriteStream;
}

/** Shows any error and gives the exit status that stands for it. */
export function reportError(error: unknown, { json, debug, stream }: ErrorStyle): number {
  const known = error instanceof HostError;
  const shown: ErrorObject | { code: null; message: string; hint: string; facts: Facts } = known
    ? errorObject(error)
    : {
        code: null,
        message: `stasis has a defect: ${error instanceof Error ? error.message : String(error)}`,
        hint: 'run it again with --debug and report what it shows',
        facts: {},
      };
  stream.write(json ? `${visibleJson({ error: shown })}\n` : describe(shown, stream));
  if (debug && error instanceof Error) stream.write(`${visibleOutput(stackOf(error))}\n`);
  return known ? ERROR_CODES[error.code] : EXIT_STATUS.hostFailure;
}

function describe(
  { code, message, hint, facts }: Omit<ErrorObject, 'code'> & { readonly code: ErrorCode | null },
  stream: NodeJS.WriteStream,
): string {
  const lines = [
    `${styleText('red', 'error:', { stream })} ${visibleText(message)}${code === null ? '' : ` (${code})`}`,
    ...Object.entries(facts).map(
      ([name, value]) => `  ${visibleText(name)}: ${visibleText(String(value))}`,
    ),
  ];
  if (hint !== null) lines.push(`${styleText('cyan', 'try:', { stream })} ${visibleText(hint)}`);
  return `${lines.join('\n')}\n`;
}

/** Stacks of an error and its causes. They name places in this program, never what it worked on. */
function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by: ${stackOf(error.cause)}` : own;
}
