/** What a restore would do, asked without making it. */
import type { Explanation } from '../checkpoint/explain.ts';
import type { Receipt } from '../checkpoint/receipt.ts';
import type { RestoreTools } from '../checkpoint/restore.ts';
import { JobTable } from '../host/job-table.ts';
import { preparePlaces } from '../host/places.ts';
import { policyFor } from '../host/policy.ts';
import { readPolicy } from '../host/policy-file.ts';
import { type RestoreOrder, secretNames } from './job-order.ts';
import { openPlacesVault } from './places-vault.ts';
import { kindOfUse } from './prepared-job.ts';
import { requesterOf, settingsPlaces } from './settings.ts';

/** The receipt of a restore that is not made. */
export function tryRestore(order: RestoreOrder): Promise<Receipt> {
  const { selector, changes, clone } = order.work;
  return withRestoreTools(order, async (tools) => {
    const { openImage, planRestore } = await import('../checkpoint/restore.ts');
    const { makeReceipt } = await import('../checkpoint/receipt.ts');
    const plan = await planRestore(tools, selector, changes, kindOfUse(order.work));
    const { head } = await openImage(tools, plan, secretNames(order));
    return makeReceipt(plan, head, clone === undefined ? null : (clone.name ?? ''));
  });
}

/** What `--explain` shows. */
export async function explain(order: RestoreOrder): Promise<Explanation> {
  const { work } = order;
  const { explainRestore } = await import('../checkpoint/explain.ts');
  return withRestoreTools(order, (tools) => explainRestore(tools, work.selector, work.changes));
}

async function withRestoreTools<T>(
  { settings, work }: RestoreOrder,
  body: (tools: RestoreTools) => Promise<T>,
): Promise<T> {
  const places = settingsPlaces(settings);
  preparePlaces(places);
  const table = new JobTable(places.jobsDatabase);
  const vault = await openPlacesVault(places);
  try {
    return await body({
      places,
      table,
      vault,
      requester: requesterOf(settings, work.selector),
      policy: policyFor(await readPolicy(settings.policy), settings.owner),
      engine: process.versions.v8,
    });
  } finally {
    table.close();
    await vault.close();
  }
}
