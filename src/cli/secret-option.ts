/** `--env-secret NAME[=FILE]`: the value comes from the environment or a file, never from the command line. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { HostError } from '../fault/host-error.ts';
import { errorCode } from '../fault/io-failure.ts';
import { SECRET_BYTES_MAX, SECRET_NAME_MAX } from '../resource/secrets.ts';
import type { SecretOrder } from './job-order.ts';

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const NEWLINE = 0x0a;

/** `others`: the secrets named before, none of which has the same name. */
export function readSecretOption(
  text: string,
  environment: NodeJS.ProcessEnv,
  others: readonly SecretOrder[],
): SecretOrder {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  if (!NAME.test(name) || name.length > SECRET_NAME_MAX) {
    throw wrong(
      at < 0 ? `${JSON.stringify(text)} names no variable.` : 'That names no variable.',
      'write --env-secret NAME or NAME=FILE: the value is never written there',
    );
  }
  if (others.some((other) => other.name === name)) {
    throw wrong(`The secret ${name} is given twice.`, 'give it once');
  }
  const value = at < 0 ? fromEnvironment(name, environment) : fromFile(name, text.slice(at + 1));
  if (value.length > SECRET_BYTES_MAX || value.includes(0) || value.length === 0) {
    throw wrong(
      `The secret ${name} is empty, has a NUL in it, or is longer than ${SECRET_BYTES_MAX} bytes.`,
      'give it another value',
    );
  }
  return { name, value: value.toString('base64') };
}

function fromEnvironment(name: string, environment: NodeJS.ProcessEnv): Buffer {
  const value = environment[name];
  if (value !== undefined) return Buffer.from(value);
  throw wrong(
    `The variable ${name} is not set here.`,
    `set it, or write --env-secret ${name}=FILE to take it from a file`,
  );
}

/** Without the line's end that editors put there. */
function fromFile(name: string, path: string): Buffer {
  const buffer = Buffer.alloc(SECRET_BYTES_MAX + 2);
  let length = 0;
  try {
    const fd = openSync(path, 'r');
    try {
      if (fstatSync(fd).isDirectory()) throw notRead(name, 'it is a directory');
      for (let count = -1; count !== 0 && length < buffer.length; length += count) {
        count = readSync(fd, buffer, length, buffer.length - length, null);
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw notRead(name, errorCode(error) ?? 'unknown error');
  }
  const end = buffer[length - 1] === NEWLINE ? length - 1 : length;
  return buffer.subarray(0, end);
}

function notRead(name: string, why: string): HostError {
  return wrong(`The file of the secret ${name} can't be read: ${why}.`, 'name another file');
}

function wrong(message: string, hint: string): HostError {
  return new HostError('ERR_USAGE', message, { facts: { option: '--env-secret' }, hint });
}
