/**
 * Guests on the other layer go on from anywhere, through the real command: see `../e2e/anywhere.ts`.
 * Their files are in their images, so nothing has to be put back beside them.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { goesOnFromAnywhere } from '../e2e/anywhere.ts';
import { GUEST_CASES } from '../e2e/guest-cases.ts';
import { scratchDirectory } from '../host/scratch.ts';

/** Input; many files and directories half read. What only computes is the same on every layer. */
const NAMES = ['blocked-stdin', 'directory-walk'];

const empty = join(scratchDirectory(), 'empty');
mkdirSync(empty);

goesOnFromAnywhere(
  GUEST_CASES.filter(({ name }) => NAMES.includes(name)).map((guest) => ({
    ...guest,
    options: ['--wasi', 'wasmer', ...(guest.usesFiles ? ['--dir-ro', `${empty}::/data`] : [])],
    usesFiles: false,
    args: guest.name === 'directory-walk' ? ['1'] : guest.args,
  })),
);
