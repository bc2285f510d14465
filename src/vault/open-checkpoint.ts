/**
 * Opening: find the record, check who asks and for which software, and only then read the image.
 */
import { HostError } from '../fault/host-error.ts';
import type { CheckpointInfo, Requester, SoftwareNow } from './checkpoint-info.ts';
import { noteOperator } from './operators.ts';
import { readImage, readManifest } from './read-image.ts';
import { checkRequest } from './requester.ts';
import { type LookedUp, lookUp, noSuchCheckpoint } from './select-checkpoint.ts';
import type { OpenedCheckpoint } from './vault.ts';
import type { VaultContext } from './vault-context.ts';

/** See `Vault.check`. */
export async function checkCheckpoint(
  context: VaultContext,
  requester: Requester,
  id: string,
  software: SoftwareNow,
): Promise<CheckpointInfo> {
  return (await admit(context, requester, id, software)).record.info;
}

/** See `Vault.open`. */
export async function openCheckpoint(
  context: VaultContext,
  requester: Requester,
  id: string,
  software: SoftwareNow,
): Promise<OpenedCheckpoint> {
  let admitted = await admit(context, requester, id, software);
  await noteOperator(context, requester, { event: 'operator opened', checkpoint: id });
  for (;;) {
    const { owner, record } = admitted;
    try {
      const manifest = await readManifest(context, owner, record.manifest);
      const image = await readImage(context, owner, manifest, record.info.imageBytes);
      return { info: record.info, ...image };
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== 'ERR_VAULT_DAMAGED') throw error;
      // Removed while it was being read, or sealed anew under another key: that is no damage.
      admitted = await admit(context, requester, id, software);
      if (Buffer.compare(admitted.record.manifest, record.manifest) === 0) throw error;
    }
  }
}

async function admit(
  context: VaultContext,
  requester: Requester,
  id: string,
  software: SoftwareNow,
): Promise<LookedUp> {
  const found = await context.read((view, keys) => lookUp(view, keys, requester, id));
  if (found === null) throw noSuchCheckpoint(id);
  checkRequest(found.record, requester, software);
  return found;
}
