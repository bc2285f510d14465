/**
 * How `--provider` and the paths of providers are read.
 *
 *   FILE[#EXPORT][,key=value…]     counter.mjs#default,file=./count
 */
import { resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import type { CellPath } from '../host/cell-command.ts';
import type { ProviderRequest } from '../host/provider-file.ts';
import { truePath } from '../host/true-path.ts';

const HINT = 'write --provider FILE#EXPORT,key=value, such as --provider ./counter.mjs,step=2';

export function readProvider(text: string): ProviderRequest {
  const [place = '', ...settings] = text.split(',');
  const at = place.lastIndexOf('#');
  const file = at < 0 ? place : place.slice(0, at);
  const name = at < 0 ? 'default' : place.slice(at + 1);
  if (file === '' || name === '' || text.includes('\0')) {
    throw new HostError('ERR_USAGE', `${JSON.stringify(text)} names no provider.`, { hint: HINT });
  }
  const options = new Map<string, string>();
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    const key = setting.slice(0, equals);
    if (equals < 1 || options.has(key) || key === '__proto__') {
      throw new HostError(
        'ERR_USAGE',
        `${JSON.stringify(setting)} is no option of a provider, or is there twice.`,
        { facts: { option: '--provider' }, hint: HINT },
      );
    }
    options.set(key, optionValue(setting.slice(equals + 1)));
  }
  return {
    file: pathOf('--provider', file),
    export: name,
    options: Object.fromEntries(options),
  };
}

/** A path that says where it begins is meant from here, wherever the job is hosted or restored. */
function optionValue(text: string): string {
  return /^\.\.?\//.test(text) ? truePath(resolve(text)) : text;
}

export function readProviderPath(text: string, readOnly: boolean): CellPath {
  const option = readOnly ? '--provider-read' : '--provider-write';
  if (text === '' || text.includes('\0')) {
    throw new HostError('ERR_USAGE', `${option} takes a path.`);
  }
  return { hostPath: pathOf(option, text), readOnly };
}

/** The runtime takes a `*` in a path for a pattern. */
function pathOf(option: string, path: string): string {
  const found = truePath(resolve(path));
  if (!found.includes('*')) return found;
  throw new HostError('ERR_USAGE', 'A path with * in its name can not be granted.', {
    facts: { option },
    hint: 'rename it, or use a directory above it',
  });
}
