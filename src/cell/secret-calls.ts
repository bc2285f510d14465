/** What a guest says and asks of secrets, as imports of the module `stasis`. See `guests/include/stasis.h`. */
import { ERRNO } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { SECRET_NAME_MAX, type SecretRegions } from '../resource/secrets.ts';
import type { HostFunction } from './host-calls.ts';

export function secretCalls(
  memory: GuestMemory,
  secrets: SecretRegions,
): Readonly<Record<string, HostFunction>> {
  return {
    /** `secret`: what lies there never enters an image. FAULT, NOMEM: 1024 are declared. */
    secret: (address, lengthBytes) => secrets.declare(address as number, lengthBytes as number),

    /** `secret_end`: what lies there may enter images again. FAULT. */
    secret_end: (address, lengthBytes) => secrets.forget(address as number, lengthBytes as number),

    /**
     * `secret_read`: writes the secret of that name, with zeros behind it, and declares the place. Gives
     * its length, or minus an errno: FAULT, NOMEM, RANGE: it does not fit, NOENT: there is none.
     */
    secret_read: (name, nameBytes, address, lengthBytes) => {
      if (!memory.holds(name as number, nameBytes as number)) return -ERRNO.FAULT;
      if ((nameBytes as number) >>> 0 > SECRET_NAME_MAX) return -ERRNO.NOENT;
      const start = (name as number) >>> 0;
      const text = memory.bytes.slice(start, start + ((nameBytes as number) >>> 0));
      return secrets.write(decode(text), address as number, lengthBytes as number);
    },
  };
}

function decode(text: Uint8Array): string {
  return new TextDecoder().decode(text);
}
