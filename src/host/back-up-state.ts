/**
 * What a backup holds beside the vault: the process table and the modules, without which no checkpoint can
 * be restored.
 *
 *   <backup>/vault/     a vault (`../vault/back-up-vault.ts`)
 *   <backup>/jobs.db    the process table
 *   <backup>/modules/   modules by digest
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { writeWholeFile } from './atomic-file.ts';
import type { JobTable } from './job-table.ts';
import { moduleDigest } from './module-file.ts';
import type { Places } from './places.ts';

const MODULE_NAME = /^([0-9a-f]{64})\.wasm$/;

export function vaultBackupPlace(backup: string): string {
  return join(backup, 'vault');
}

/** Copies table and modules; gives how many modules the backup has. Throws ERR_DISK_FULL, ERR_IO. */
export function backUpState(places: Places, table: JobTable, backup: string): number {
  const modules = join(backup, 'modules');
  try {
    mkdirSync(modules, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw ioFailure('make the backup', error);
  }
  // Modules first: a table that names one which is missing would be of no use.
  for (const name of moduleNames(places.modules)) copyModule(places.modules, modules, name);
  table.copyTo(join(backup, 'jobs.db'));
  return moduleNames(modules).length;
}

/** Puts back what is not there. Throws ERR_DISK_FULL, ERR_IO. */
export function restoreState(
  places: Places,
  backup: string,
): { readonly modules: number; readonly table: boolean } {
  const modules = join(backup, 'modules');
  const names = existsSync(modules) ? moduleNames(modules) : [];
  for (const name of names) copyModule(modules, places.modules, name);
  const from = join(backup, 'jobs.db');
  const table = existsSync(from) && !existsSync(places.jobsDatabase);
  try {
    if (table) {
      const scratch = `${places.jobsDatabase}.${process.pid}`;
      writeWholeFile(places.jobsDatabase, scratch, [readFileSync(from)]);
    }
  } catch (error) {
    throw ioFailure('put the process table back', error);
  }
  return { modules: names.length, table };
}

function moduleNames(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => MODULE_NAME.test(name));
  } catch (error) {
    throw ioFailure('list the modules', error);
  }
}

/** One that is damaged, or goes meanwhile, is not copied: nothing could be restored with it. */
function copyModule(from: string, to: string, name: string): void {
  const target = join(to, name);
  if (existsSync(target)) return;
  try {
    const bytes = readFileSync(join(from, name));
    if (moduleDigest(bytes) !== MODULE_NAME.exec(name)![1]) return;
    writeWholeFile(target, `${target}.${process.pid}`, [bytes]);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw ioFailure('copy a module', error);
  }
}
