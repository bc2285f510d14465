/**
 * Copies of the modules that checkpoints were made of, so that a restore does not depend on a file
 * that its owner may have built anew. A copy's name is its digest, and is checked when it is read.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { writeWholeFile } from './atomic-file.ts';
import { type ModuleFile, moduleDigest } from './module-file.ts';
import type { Places } from './places.ts';

function storedPath(places: Places, digest: string): string {
  return join(places.modules, `${digest}.wasm`);
}

/** Keeps a copy. Throws ERR_DISK_FULL, ERR_IO. */
export function keepModule(places: Places, module: ModuleFile): void {
  const path = storedPath(places, module.digest);
  if (existsSync(path)) return;
  writeWholeFile(path, `${path}.${process.pid}`, [module.bytes]);
}

/** The copy with that digest. Throws ERR_NO_SUCH_FILE, ERR_STATE_DAMAGED, ERR_IO. */
export function loadModule(places: Places, digest: string): ModuleFile {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(storedPath(places, digest));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw ioFailure('read the kept copy of the module', error);
    throw new HostError('ERR_NO_SUCH_FILE', 'The kept copy of the module is missing.', {
      facts: { module: digest },
    });
  }
  if (moduleDigest(bytes) !== digest) {
    throw new HostError('ERR_STATE_DAMAGED', 'The kept copy of the module is damaged.', {
      facts: { module: digest },
      hint: 'put the original file back under modules/ in the state directory',
    });
  }
  return { bytes, digest };
}

/** Removes copies that are in nobody's use, and what a crash left unfinished. */
export function dropModules(places: Places, used: ReadonlySet<string>): void {
  for (const name of readdirSync(places.modules)) {
    const digest = /^([0-9a-f]{64})\.wasm$/.exec(name)?.[1];
    if (digest !== undefined && !used.has(digest))
      rmSync(join(places.modules, name), { force: true });
  }
}
