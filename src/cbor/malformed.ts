import { HostError } from '../fault/host-error.ts';

/** The one refusal of this room. `why` is ours and says what is wrong, never what was read. */
export function malformedCbor(why: string, offsetBytes?: number, cause?: unknown): HostError {
  const where = offsetBytes === undefined ? '' : ` at byte ${offsetBytes}`;
  return new HostError('ERR_MALFORMED_CBOR', `The CBOR data is malformed: ${why}${where}.`, {
    facts: offsetBytes === undefined ? {} : { offsetBytes },
    ...(cause === undefined ? {} : { cause }),
  });
}
