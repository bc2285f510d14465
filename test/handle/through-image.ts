/** What a restore gets to see of captured resources: what their image says, nothing more. */
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import type { CapturedResources } from '../../src/handle/grants.ts';

export function throughImage(captured: CapturedResources): CapturedResources {
  const { handles, providers } = captured;
  const bytes = encodeCbor({ handles, providers: providers.map((provider) => ({ ...provider })) });
  return decodeCbor(bytes) as unknown as CapturedResources;
}
