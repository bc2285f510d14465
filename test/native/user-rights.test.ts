import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';

const CHILD = fileURLToPath(new URL('./as-user.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;
const me = process.getuid?.() ?? 0;
/** Root acts for somebody else; anybody else only for himself. */
const user = isRoot ? 61_234 : me;

test('what is done for a user is done with the rights of that user, and only that', () => {
  const scratch = scratchDirectory();
  chmodSync(scratch, 0o755);
  mkdirSync(join(scratch, 'own'), { mode: 0o700 });
  const secret = join(scratch, 'secret');
  writeFileSync(secret, 'of root', { mode: 0o600 });
  const printed = execFileSync(process.execPath, [
    CHILD,
    String(user),
    secret,
    join(scratch, 'own'),
  ]);
  const { inside, outside } = JSON.parse(printed.toString());
  console.log(`as user ${user}, started by ${me}: ${JSON.stringify({ inside, outside })}`);
  expect(outside).toEqual({
    served: isRoot ? user : null,
    read: 'of root',
    uid: me,
    inPool: 'of root',
  });
  expect(inside.uid).toBe(user);
  expect(inside.thrown).toBe('Error: from inside');
  expect(inside.again).toBe(true);
  expect(inside.read).toBe(isRoot ? 'EACCES' : 'of root');
  if (isRoot) expect(inside.write).toBe('EACCES');
  if (isRoot) expect(inside.groups).toEqual([user]);
});
