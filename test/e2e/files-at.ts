/**
 * What a guest's files held at each of its safepoints.
 *
 * A checkpoint does not bring back what was written to files after it. To hold a restore against an
 * undisturbed run, the files are put back by the test, as a file system's own snapshot would do it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trigger } from '../../src/cell/protocol.ts';
import type { RunRequest } from '../../src/host/run-request.ts';
import { decodeImageHead } from '../../src/image/head.ts';
import { runHere, startOf } from './guest-thread.ts';
import type { Safepoint } from './safepoints.ts';

/** Base64 by name; directories are left out. */
export type FileContents = Readonly<Record<string, string>>;

/** Fuel and calls of a safepoint, as one word. */
export function placeWord({ fuel, calls }: { readonly fuel: bigint; readonly calls: bigint }) {
  return `${fuel} ${calls}`;
}

/** Runs the guest once more, on a directory of its own, and reads its files at each point. */
export async function filesAt(
  request: RunRequest,
  points: readonly Safepoint[],
  scratch: string,
): Promise<ReadonlyMap<string, FileContents>> {
  const found = new Map<string, FileContents>();
  mkdirSync(scratch);
  const preopens = request.preopens.map((preopen) => ({ ...preopen, hostPath: scratch }));
  const triggers = points.map(
    ({ on, at }): Trigger =>
      on === 'fuel' ? { fuel: BigInt(at), stop: false } : { call: BigInt(at), stop: false },
  );
  await runHere(
    { ...startOf({ ...request, preopens }), triggers },
    [readFileSync(request.modulePath)],
    // The guest stands still until this returns.
    (message) => {
      if (message.type !== 'image') return;
      found.set(placeWord(decodeImageHead(message.head).counters), readFiles(scratch));
    },
  );
  rmSync(scratch, { recursive: true });
  return found;
}

function readFiles(directory: string): FileContents {
  return Object.fromEntries(
    readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(join(directory, name)).toString('base64')]),
  );
}

/** Writes into the files that are there; they stay the same files. */
export function putFiles(directory: string, contents: FileContents): void {
  for (const [name, content] of Object.entries(contents)) {
    writeFileSync(join(directory, name), Buffer.from(content, 'base64'));
  }
}
