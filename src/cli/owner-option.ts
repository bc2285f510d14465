import { HostError } from '../fault/host-error.ts';

/** `uid:1000`, or the number alone. Throws ERR_USAGE. */
export function parseOwner(text: string): string {
  const match = /^(?:uid:)?(0|[1-9]\d{0,9})$/.exec(text);
  if (match !== null) return `uid:${match[1]}`;
  throw new HostError('ERR_USAGE', `${JSON.stringify(text)} names no user.`, {
    hint: 'write uid:1000; id -u NAME prints the number',
  });
}
