/**
 * `stasis logs`: what a job wrote, over all its runs, each line once.
 */
import { isUtf8 } from 'node:buffer';
import { type Command, Option } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { visibleOutput } from '../fault/visible-text.ts';
import type { LogPiece } from '../host/log-reader.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { dim } from './terminal.ts';

const NEWLINE = 0x0a;

interface LogsOptions {
  readonly follow?: boolean;
  readonly timestamps?: boolean;
  readonly json?: boolean;
  readonly raw?: boolean;
}

export function addLogsCommand(program: Command, context: CommandContext): void {
  program
    .command('logs')
    .summary("print a job's output")
    .description(
      'Print what a job wrote, over all its runs, each line once: what the guest wrote to stdout goes to stdout, what it wrote to stderr to stderr. Control characters are shown as \\u{…}, lines and tabs stay.',
    )
    .argument('<job>', 'name of the job')
    .option('-f, --follow', 'go on until the job ends')
    .option('-t, --timestamps', 'put the time before each line')
    .option('--json', 'print a JSON object for each write of the guest')
    .addOption(
      new Option(
        '--raw',
        'print the bytes as the guest wrote them; into a file or a pipe, as a terminal obeys what may be in them',
      ).conflicts('json'),
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ stasis logs --follow job\n  $ stasis logs --raw job > picture.png',
    )
    .action(async (name: string, options: LogsOptions) => {
      const { out, err } = context;
      if (options.raw) refuseTerminals([out, err]);
      const host = await context.host();
      const writers = { 1: pieceWriter(out, options), 2: pieceWriter(err, options) };
      for await (const piece of host.logs(name, options.follow ?? false)) {
        if (options.json) printJson(out, pieceObject(piece));
        else await writers[piece.stream].write(piece);
      }
      for (const writer of Object.values(writers)) writer.end();
    });
}

/** Text as text; bytes that are none as base64. */
function pieceObject({ stream, timeNs, text }: LogPiece): Record<string, string> {
  const content = isUtf8(text)
    ? { text: Buffer.from(text).toString('utf8') }
    : { base64: Buffer.from(text).toString('base64') };
  return { time: timeText(timeNs), stream: stream === 1 ? 'stdout' : 'stderr', ...content };
}

/** Throws ERR_USAGE. */
function refuseTerminals(streams: readonly NodeJS.WriteStream[]): void {
  if (!streams.some(({ isTTY }) => isTTY)) return;
  throw new HostError('ERR_USAGE', 'A terminal would obey what may be in these bytes.', {
    hint: 'send both outputs to a file or a pipe, as in stasis logs --raw JOB >out 2>err, or leave out --raw',
  });
}

interface PieceWriter {
  write(piece: LogPiece): Promise<void>;
  end(): void;
}

/** Text with its control characters shown; with `raw` the bytes as they are. */
function pieceWriter(stream: NodeJS.WriteStream, { timestamps, raw }: LogsOptions): PieceWriter {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let atLineStart = true;
  return {
    write: async ({ timeNs, text }) => {
      const parts = timestamps ? splitLines(text) : [text];
      for (const part of parts) {
        if (timestamps && atLineStart) stream.write(`${dim(timeText(timeNs), stream)} `);
        atLineStart = part.at(-1) === NEWLINE;
        const shown = raw ? part : visibleOutput(decoder.decode(part, { stream: true }));
        if (!stream.write(shown)) await new Promise((resolve) => stream.once('drain', resolve));
      }
    },
    // The first bytes of a character whose others never came.
    end: () => {
      if (!raw) stream.write(visibleOutput(decoder.decode()));
    },
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
