import { HostError } from '../fault/host-error.ts';

/**
 * The refusal of a module that breaks the binary format.
 *
 * `where` names the section, such as `the type section`; `offset` counts bytes from the start of the
 * file; `what` continues the sentence: `has a count that …`.
 */
export function malformed(where: string, offset: number, what: string): HostError {
  return new HostError('ERR_MALFORMED_MODULE', `${where} ${what} (at offset ${offset})`, {
    facts: { section: where, offset },
    hint: 'the file is damaged or was cut short; build it or fetch it again',
  });
}
