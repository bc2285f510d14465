/**
 * Run by `second-user.test.ts` under another user's id: tries everything that a file system and `/proc` offer, and
 * writes what came of it that must not, as JSON. Standard input: `{ paths, pids, sockets }`.
 */
import {
  accessSync,
  closeSync,
  constants,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';

interface Targets {
  readonly paths: readonly string[];
  readonly pids: readonly number[];
  readonly sockets: readonly string[];
}

/** Of a process: everything that shows content, or lets one at it. What anybody may see of any process is not here. */
const OF_PROCESS = [
  'mem',
  'environ',
  'maps',
  'smaps',
  'auxv',
  'io',
  'stack',
  'pagemap',
  'personality',
  'map_files',
  'fd',
  'fdinfo',
  'syscall',
];
const LINKS_OF_PROCESS = ['root', 'cwd', 'exe', 'fd/0', 'fd/3', 'ns/mnt'];
/** Not SIGCONT, which the kernel lets through to all of one session. */
const SIGNALS = ['SIGUSR1', 'SIGQUIT', 0] as const;

const { paths, pids, sockets } = JSON.parse(readFileSync(0, 'utf8')) as Targets;
const got: string[] = [];
let tried = 0;

function attempt(what: string, work: () => unknown): void {
  tried++;
  try {
    work();
    got.push(what);
  } catch (error) {
    const { code } = error as { code?: string };
    // A directory is not opened for writing by anybody; that says nothing about rights.
    if (!['EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'EISDIR', 'ESRCH'].includes(code ?? ''))
      got.push(`${what}: ${code}`);
  }
}

for (const path of paths) {
  attempt(`look at ${path}`, () => lstatSync(path));
  attempt(`read ${path}`, () => closeSync(openSync(path, 'r')));
  attempt(`write ${path}`, () => closeSync(openSync(path, constants.O_WRONLY)));
  attempt(`list ${path}`, () => readdirSync(path));
  attempt(`make a file in ${path}`, () => writeFileSync(join(path, 'pried'), ''));
  attempt(`read ${path} by way of another name`, () => {
    const name = join(process.cwd(), `link-${tried}`);
    linkSync(path, name);
    rmSync(name);
  });
  attempt(`read ${path} behind a link`, () => {
    const name = join(process.cwd(), `symlink-${tried}`);
    symlinkSync(path, name);
    try {
      accessSync(name, constants.R_OK);
    } finally {
      rmSync(name);
    }
  });
  attempt(`move ${path}`, () => renameSync(path, join(process.cwd(), `moved-${tried}`)));
}
for (const pid of pids) {
  for (const name of OF_PROCESS) {
    const path = `/proc/${pid}/${name}`;
    attempt(`read ${path}`, () => {
      const fd = openSync(path, 'r');
      readSync(fd, Buffer.alloc(16));
      closeSync(fd);
    });
    attempt(`list ${path}`, () => readdirSync(path));
  }
  for (const name of LINKS_OF_PROCESS)
    attempt(`follow /proc/${pid}/${name}`, () => readlinkSync(`/proc/${pid}/${name}`));
  for (const signal of SIGNALS)
    attempt(`send ${signal} to ${pid}`, () => process.kill(pid, signal));
}
for (const path of sockets) {
  tried++;
  const code = await new Promise<string | null>((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => resolve(null));
    socket.once('error', (error: { code?: string }) => resolve(error.code ?? '?'));
  });
  if (code !== 'EACCES' && code !== 'ENOENT') got.push(`connect to ${path}: ${code}`);
}
process.stdout.write(JSON.stringify({ tried, got }));
process.exit(0);
