/**
 * Operators: other owners whom an owner lets list and restore the own checkpoints.
 *
 * Invariants:
 * 1. Only the owner says who; the list is part of the owner's sealed state. What an operator does is in the
 *    ledger, and so is each change of the list.
 * 2. To whom no right was given, the answer is as if the owner had nothing.
 * 3. An operator can neither remove nor seal, nor name further operators, nor make clones.
 */
import { HostError } from '../fault/host-error.ts';
import type { IndexView } from '../store/store.ts';
import type { Requester } from './checkpoint-info.ts';
import { appendLedger } from './ledger.ts';
import { addOwner, type LoadedOwner, loadOwner, saveOwner } from './owner-state.ts';
import type { VaultContext } from './vault-context.ts';
import type { VaultKeys } from './vault-keys.ts';

const OPERATORS_MAX = 64;
const OWNER_LENGTH_MAX = 256;

/** The owner whose checkpoints are asked for; null for one who has none, or not for this requester. */
export async function loadRequested(
  view: IndexView,
  keys: VaultKeys,
  requester: Requester,
): Promise<LoadedOwner | null> {
  const owner = await loadOwner(view, keys, requester.owner);
  return owner !== null && mayAsk(owner, requester) ? owner : null;
}

function mayAsk({ state }: LoadedOwner, { operator }: Requester): boolean {
  return operator === undefined || (state.operators ?? []).includes(operator);
}

/** See `Vault.grant`. */
export async function grantOperator(
  { write, now, random }: VaultContext,
  requester: Requester,
  operator: string,
): Promise<void> {
  checkOwn(requester);
  if (operator === requester.owner || operator === '' || operator.length > OWNER_LENGTH_MAX) {
    throw new HostError('ERR_USAGE', 'An operator is another user than yourself.', {
      hint: 'stasis grant uid:1001',
    });
  }
  await write(async (transaction, keys) => {
    const time = now();
    const owner =
      (await loadOwner(transaction, keys, requester.owner)) ??
      (await addOwner(transaction, keys, requester.owner, time, random));
    const operators = owner.state.operators ?? [];
    if (operators.includes(operator)) return;
    if (operators.length >= OPERATORS_MAX) {
      throw new HostError('ERR_USAGE', `There can be ${OPERATORS_MAX} operators and not more.`, {
        hint: 'stasis grant --revoke one of them',
      });
    }
    const about = { owner: requester.owner, operator };
    const event = 'operator granted';
    const entry = await appendLedger(transaction, keys, time, { event, ...about });
    const changed = { operators: [...operators, operator].sort() };
    await saveOwner(transaction, owner, changed, entry, random);
  });
}

/** See `Vault.revoke`. */
export async function revokeOperator(
  { write, now, random }: VaultContext,
  requester: Requester,
  operator: string,
): Promise<boolean> {
  checkOwn(requester);
  return write(async (transaction, keys) => {
    const owner = await loadOwner(transaction, keys, requester.owner);
    const operators = owner?.state.operators ?? [];
    if (owner === null || !operators.includes(operator)) return false;
    const about = { owner: requester.owner, operator };
    const event = 'operator revoked';
    const entry = await appendLedger(transaction, keys, now(), { event, ...about });
    const changed = { operators: operators.filter((one) => one !== operator) };
    await saveOwner(transaction, owner, changed, entry, random);
    return true;
  });
}

/** See `Vault.operators`. */
export async function listOperators(
  { read }: VaultContext,
  requester: Requester,
): Promise<readonly string[]> {
  checkOwn(requester);
  return read(async (view, keys) => {
    const owner = await loadOwner(view, keys, requester.owner);
    return owner?.state.operators ?? [];
  });
}

/** Writes down that an operator looked; nothing for an owner, or where there is no right. */
export async function noteOperator(
  { write, now, random }: VaultContext,
  requester: Requester,
  what:
    | { readonly event: 'operator listed' }
    | {
        readonly event: 'operator opened';
        readonly checkpoint: string;
      },
): Promise<void> {
  const { owner: name, operator } = requester;
  if (operator === undefined) return;
  await write(async (transaction, keys) => {
    const owner = await loadRequested(transaction, keys, requester);
    if (owner === null) return;
    const entry = await appendLedger(transaction, keys, now(), { ...what, owner: name, operator });
    await saveOwner(transaction, owner, {}, entry, random);
  });
}

/** An operator answers for no more than is said above. */
export function checkOwn({ operator }: Requester): void {
  if (operator === undefined) return;
  throw new HostError('ERR_NOT_ALLOWED', 'An operator can list and restore, and nothing else.', {
    facts: { operator },
    hint: 'ask the owner of the checkpoints',
  });
}
