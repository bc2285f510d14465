/** Pools under the permissions that a cell has, with the system's calls and where Node may not make any. */
import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { cellPermissions, cellProgram, NO_GRANTS } from '../../src/host/cell-command.ts';
import { wordsWithPermissions } from '../../src/host/node-permissions.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { grantOf } from './pool-guest.ts';

const scratch = scratchDirectory();
const entry = fileURLToPath(new URL('confined-guest.ts', import.meta.url));
const program = cellProgram(process.execPath);
const here = fileURLToPath(new URL('.', import.meta.url));

test.each([true, false])(
  'a cell reaches the files of its pools and no others; calls: %s',
  (calls) => {
    const file = join(scratch, `pages-${calls}`);
    const secret = join(scratch, 'secret');
    writeFileSync(secret, 'key');
    const confined = { ...program, entry, codeDirectories: [...program.codeDirectories, here] };
    const permissions = cellPermissions(confined, { ...NO_GRANTS, pools: [grantOf(file)] });
    const words = [...wordsWithPermissions(permissions), confined.entry];
    const flags = calls ? words : words.filter((word) => word !== '--allow-ffi');
    const ran = spawnSync(process.execPath, [...flags, file, secret], {
      env: {},
      encoding: 'utf8',
    });
    expect(ran.stderr).toBe('');
    expect(JSON.parse(ran.stdout)).toEqual({
      calls: calls && process.platform === 'linux',
      opened: 0,
      words: [7, 39],
      denied: 'ERR_ACCESS_DENIED',
    });
    const left = readdirSync(scratch).filter((name) => name.startsWith(`pages-${calls}`));
    console.log(`pool: calls ${calls}, left ${left.join(' ')}`);
  },
);
