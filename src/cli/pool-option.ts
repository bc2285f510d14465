/** `--pool NAME=FILE[,page=BYTES][,frames=N][,pages=N][,ro]`. */
import { resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { truePath } from '../host/true-path.ts';
import { FRAMES_DEFAULT, FRAMES_MAX, FRAMES_MIN, POOL_BYTES_MAX } from '../pool/frame-layout.ts';
import { isPageBytes, PAGE_BYTES_DEFAULT, PAGES_LIMIT } from '../pool/pool-format.ts';
import { PAGES_MAX_DEFAULT, type PoolGrant } from '../pool/pool-grant.ts';
import { parseCount } from './quantities.ts';

const NAME = /^[A-Za-z0-9._-]{1,64}$/;

/** `others`: the pools named before, none of which has the same name. */
export function readPool(text: string, others: readonly PoolGrant[]): PoolGrant {
  const [first = '', ...words] = text.split(',');
  const at = first.indexOf('=');
  const name = first.slice(0, Math.max(at, 0));
  const file = first.slice(at + 1);
  if (!NAME.test(name) || file === '' || text.includes('\0')) {
    throw wrong(`${JSON.stringify(text)} names no pool.`, 'write --pool NAME=FILE');
  }
  if (file.includes('*')) {
    throw wrong('A page file with * in its name can not be granted.', 'rename it');
  }
  if (others.some((other) => other.name === name)) {
    throw wrong(`Two pools have the name ${name}.`, 'give each pool a name of its own');
  }
  const options = readWords(words);
  const { pageBytes, frames } = options;
  if (pageBytes * frames > POOL_BYTES_MAX) {
    throw wrong('The frames of a pool can have at most 1GiB together.', 'write fewer frames=');
  }
  return { name, hostPath: truePath(resolve(file)), ...options };
}

function readWords(words: readonly string[]): Omit<PoolGrant, 'name' | 'hostPath'> {
  let pageBytes = PAGE_BYTES_DEFAULT;
  let frames = FRAMES_DEFAULT;
  let pagesMax = PAGES_MAX_DEFAULT;
  let readOnly = false;
  for (const word of words) {
    const [key, value = ''] = word.split('=', 2);
    if (key === 'page') pageBytes = parseCount(value, 1, PAGES_LIMIT);
    else if (key === 'frames') frames = parseCount(value, FRAMES_MIN, FRAMES_MAX);
    else if (key === 'pages') pagesMax = parseCount(value, 1, PAGES_LIMIT);
    else if (word === 'ro') readOnly = true;
    else
      throw wrong(`A pool has no option ${JSON.stringify(word)}.`, 'page=, frames=, pages= or ro');
  }
  if (!isPageBytes(pageBytes)) {
    throw wrong('Pages of a pool have 1024 to 65536 bytes, a power of two.', 'write page=4096');
  }
  return { pageBytes, frames, pagesMax, readOnly };
}

function wrong(message: string, hint: string): HostError {
  return new HostError('ERR_USAGE', message, { facts: { option: '--pool' }, hint });
}
