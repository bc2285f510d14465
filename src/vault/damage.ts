import { type Facts, HostError } from '../fault/host-error.ts';

/** Something in the vault is not as it was written. `what` begins the sentence: "The owner's key". */
export function vaultDamaged(what: string, facts: Facts = {}): HostError {
  return new HostError('ERR_VAULT_DAMAGED', `${what} is not as it was written to the vault.`, {
    facts,
    hint: 'restore another checkpoint, or put the vault back from a backup',
  });
}
