/**
 * `stasis logs`: what a job wrote, over all its runs, each line once.
 */
import { isUtf8 } from 'node:buffer';
import type { Command } from 'commander';
import { visibleOutput } from '../fault/visible-text.ts';
import type { LogPiece } from '../host/log-reader.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { dim } from './terminal.ts';

const NEWLINE = 0x0a;

interface LogsOptions {
  readonly follow?: boolean;
  readonly timestamps?: boolean;
  readonly json?: boolean;
}

export function addLogsCommand(program: Command, context: CommandContext): void {
  program
    .command('logs')
    .summary("print a job's output")
    .description(
      'Print what a job wrote, over all its runs, each line once: what the guest wrote to stdout goes to stdout, what it wrote to stderr to stderr.',
    )
    .argument('<job>', 'name of the job')
    .option('-f, --follow', 'go on until the job ends')
    .option('-t, --timestamps', 'put the time before each line')
    .option('--json', 'print a JSON object for each write of the guest')
    .addHelpText('after', '\nExample:\n  $ stasis logs --follow job')
    .action(async (name: string, options: LogsOptions) => {
      const { out, err } = context;
      const host = await context.host();
      const writers = { 1: pieceWriter(out, options), 2: pieceWriter(err, options) };
      for await (const piece of host.logs(name, options.follow ?? false)) {
        if (options.json) printJson(out, pieceObject(piece));
        else await writers[piece.stream](piece);
      }
    });
}

/** Text as text; bytes that are none as base64. */
function pieceObject({ stream, timeNs, text }: LogPiece): Record<string, string> {
  const content = isUtf8(text)
    ? { text: Buffer.from(text).toString('utf8') }
    : { base64: Buffer.from(text).toString('base64') };
  return { time: timeText(timeNs), stream: stream === 1 ? 'stdout' : 'stderr', ...content };
}

/**
 * Bytes as they are into a file or pipe. On a terminal, which would obey what is in them, as text with
 * its control characters shown.
 */
function pieceWriter(
  stream: NodeJS.WriteStream,
  { timestamps }: LogsOptions,
): (piece: LogPiece) => Promise<void> {
  const decoder = new TextDecoder();
  let atLineStart = true;
  return async ({ timeNs, text }) => {
    const parts = timestamps ? splitLines(text) : [text];
    for (const part of parts) {
      if (timestamps && atLineStart) stream.write(`${dim(timeText(timeNs), stream)} `);
      atLineStart = part.at(-1) === NEWLINE;
      const shown = stream.isTTY ? visibleOutput(decoder.decode(part, { stream: true })) : part;
      if (!stream.write(shown)) await new Promise((resolve) => stream.once('drain', resolve));
    }
  };
}

function splitLines(text: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf(NEWLINE, at);
    const next = end < 0 ? text.length : end + 1;
    lines.push(text.subarray(at, next));
    at = next;
  }
  return lines;
}

/** ISO 8601 with microseconds, or the number itself when no date is so late. */
function timeText(timeNs: bigint): string {
  const ms = Number(timeNs / 1_000_000n);
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return `${timeNs}ns`;
  const micros = String((timeNs / 1000n) % 1000n).padStart(3, '0');
  return date.toISOString().replace('Z', `${micros}Z`);
}
