import prettyBytes from 'pretty-bytes';
import type { Receipt } from '../checkpoint/receipt.ts';
import { visibleText } from '../fault/visible-text.ts';

const PAGE_BYTES = 65_536;

/** A receipt in lines for people; the first one alone says the most important. */
export function describeReceipt(receipt: Receipt): string[] {
  const { moduleFile, fuelUsed, fuelLimit, directories, pools, databases, providerPaths } = receipt;
  const memory = prettyBytes(receipt.memoryPages * PAGE_BYTES, { binary: true });
  return [
    `${goingOn(receipt)} goes on from checkpoint #${receipt.sequence} of ${receipt.stamp}`,
    `  id           ${receipt.checkpoint}`,
    `  made         by ${receipt.cause}, in run ${receipt.madeInRun}`,
    ...receipt.checks.map(
      (check, at) => `  ${at === 0 ? 'checked' : '       '}      ${visibleText(check)}`,
    ),
    ...directories.map(
      ({ hostPath, guestPath, readOnly, policy = 'reopen' }) =>
        `  grants       ${visibleText(hostPath)} as ${visibleText(guestPath)}${readOnly ? ', read-only' : ''}${policy === 'reopen' ? '' : `, ${policy}`}`,
    ),
    ...pools.map(
      ({ name, hostPath, readOnly }) =>
        `  grants       ${visibleText(hostPath)} as pool ${visibleText(name)}${readOnly ? ', read-only' : ''}`,
    ),
    ...databases.map(
      ({ name, hostPath, readOnly }) =>
        `  grants       ${visibleText(hostPath)} as database ${visibleText(name)}${readOnly ? ', read-only' : ''}`,
    ),
    ...providerPaths.map(
      ({ hostPath, readOnly }) =>
        `  grants       ${visibleText(hostPath)} to providers${readOnly ? ', read-only' : ''}`,
    ),
    `  fuel         ${fuelUsed} used${fuelLimit === null ? '' : ` of ${fuelLimit}`}, ${receipt.hostCalls} calls to the host`,
    `  guest        ${receipt.frames} frames, ${receipt.handles} handles, ${memory} memory`,
    `  image        ${prettyBytes(receipt.imageBytes)}, ${prettyBytes(receipt.storedBytes)} stored`,
    `  output       ${prettyBytes(receipt.logBytes)} of log before it`,
    ...(moduleFile === 'same'
      ? []
      : [
          `  note         ${visibleText(receipt.modulePath)} is ${moduleFile} now; the kept copy is used`,
        ]),
  ];
}

function goingOn({ job, clone }: Receipt): string {
  if (clone === null) return job;
  return clone === '' ? `a clone of ${job}` : `${clone}, a clone of ${job},`;
}
