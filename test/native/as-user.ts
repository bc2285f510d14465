/**
 * Run by `user-rights.test.ts` in a process of its own, as rights are a process's: what a process that acts for
 * user `argv[2]` may do inside `withUserRights` and outside, as one line of JSON.
 */
import { openSync, readFile, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorCode } from '../../src/fault/io-failure.ts';
import { actFor, servedUser, withUserRights } from '../../src/native/user-rights.ts';

const BUSY_MS = 200;
const [, , uid, secret, scratch] = process.argv;
const id = Number(uid);

function told(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return errorCode(error) ?? String(error);
  }
}

actFor({ uid: id, gid: id });
const asUser = (work: () => unknown) => told(() => withUserRights(work));
const read = () => readFileSync(secret!, 'utf8');
const elsewhere = promisify(readFile)(secret!, 'utf8');
const inside = {
  read: asUser(read),
  write: asUser(() => writeFileSync(`${scratch}/made`, '')),
  // What is open already can't be opened again with more rights than the user has.
  again: asUser(() => openSync(`/proc/self/fd/${openSync('/dev/null', 'r')}`, 'r') > 2),
  uid: asUser(() => process.geteuid?.()),
  groups: asUser(() => process.getgroups?.()),
  // A file operation in the pool, begun before, runs while this thread is the user.
  busy: asUser(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS)),
  thrown: asUser(() => {
    throw new Error('from inside');
  }),
};
const outside = {
  served: servedUser()?.uid ?? null,
  read: told(read),
  uid: process.geteuid?.(),
  inPool: await elsewhere,
};
process.stdout.write(`${JSON.stringify({ inside, outside })}\n`);
