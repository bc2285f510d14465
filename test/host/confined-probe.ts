/**
 * Runs with a cell's permissions and tells what it could do, as one JSON object.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';

const [secret, readable, writable] = process.argv.slice(2) as [string, string, string];

function can(attempt: () => unknown): string {
  try {
    attempt();
    return 'yes';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'no';
  }
}

const done = {
  environment: Object.keys(process.env),
  readSecret: can(() => readFileSync(secret)),
  listRoot: can(() => readdirSync('/')),
  readKernel: can(() => readFileSync('/proc/self/environ')),
  readGranted: can(() => readdirSync(readable)),
  writeReadOnly: can(() => writeFileSync(`${readable}/x`, '')),
  writeGranted: can(() => writeFileSync(`${writable}/x`, '')),
  startProcess: can(() => {
    const { error } = spawnSync('/bin/true');
    if (error !== undefined) throw error;
  }),
  connect: await new Promise((resolve) => {
    const tell = (code: string) => resolve(code);
    try {
      const socket = connect(1, '127.0.0.1');
      socket.on('connect', () => tell('yes'));
      socket.on('error', (error: NodeJS.ErrnoException) => tell(error.code ?? 'no'));
    } catch (error) {
      tell((error as NodeJS.ErrnoException).code ?? 'no');
    }
  }),
  inspect: can(() => {
    process.kill(process.pid, 'SIGUSR1');
  }),
};
process.stdout.write(JSON.stringify(done));
