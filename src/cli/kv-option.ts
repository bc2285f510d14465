/** `--kv NAME=FILE[,ro]`. */
import { resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { truePath } from '../host/true-path.ts';
import type { KvGrant } from '../kv/kv-grant.ts';

const NAME = /^[A-Za-z0-9._-]{1,64}$/;

/** `others`: the databases named before, none of which has the same name. */
export function readKv(text: string, others: readonly KvGrant[]): KvGrant {
  const readOnly = text.endsWith(',ro');
  const plain = readOnly ? text.slice(0, -3) : text;
  const at = plain.indexOf('=');
  const name = plain.slice(0, Math.max(at, 0));
  const file = plain.slice(at + 1);
  if (!NAME.test(name) || file === '' || /[\0,*]/.test(file)) {
    throw wrong(
      `${JSON.stringify(text)} names no database.`,
      'write --kv NAME=FILE or NAME=FILE,ro',
    );
  }
  if (others.some((other) => other.name === name)) {
    throw wrong(`Two databases have the name ${name}.`, 'give each a name of its own');
  }
  return { name, hostPath: truePath(resolve(file)), readOnly };
}

function wrong(message: string, hint: string): HostError {
  return new HostError('ERR_USAGE', message, { facts: { option: '--kv' }, hint });
}
