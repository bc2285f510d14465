/**
 * What a backup holds beside the vault: the process table and the modules, without which no checkpoint can
 * be restored, and the logs.
 *
 *   <backup>/vault/     a vault (`../vault/back-up-vault.ts`)
 *   <backup>/jobs.db    the process table
 *   <backup>/modules/   modules by digest
 *   <backup>/jobs/<id>/run-<n>.log
 *
 * Not here: `jobs/<id>/files`. What an image needs of files it carries itself. What is kept there to undo changes in
 * directories that are rolled back knows files by their inodes, and knows nothing of changes that were made after
 * the backup: put back, it would undo some changes and not the others. Without it such a restore is refused by name.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { writeWholeFile } from './atomic-file.ts';
import type { JobTable } from './job-table.ts';
import { moduleDigest } from './module-file.ts';
import type { Places } from './places.ts';

const JOB_NAME = /^[0-9a-z-]{1,64}$/;
const LOG_NAME = /^run-[0-9]{1,15}\.log$/;
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
  copyLogs(places.jobs, join(backup, 'jobs'));
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
  if (existsSync(join(backup, 'jobs'))) copyLogs(join(backup, 'jobs'), places.jobs);
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

/** A log only ever grows: one that is longer already is not copied, and a copy ends where the log did then. */
function copyLogs(from: string, to: string): void {
  try {
    for (const job of readdirSync(from).filter((name) => JOB_NAME.test(name))) {
      for (const name of readdirSync(join(from, job)).filter((log) => LOG_NAME.test(log))) {
        const bytes = readFileSync(join(from, job, name));
        const target = join(to, job, name);
        const there = statSync(target, { throwIfNoEntry: false })?.size ?? -1;
        if (there >= bytes.length) continue;
        mkdirSync(join(to, job), { recursive: true, mode: 0o700 });
        writeWholeFile(target, `${target}.${process.pid}`, [bytes]);
      }
    }
  } catch (error) {
    // A job may be removed meanwhile.
    if (errorCode(error) !== 'ENOENT') throw ioFailure('copy a log', error);
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
