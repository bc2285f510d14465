import { closeSync } from 'node:fs';
import { KEPT_BY_ROOT, keepCapabilities } from '../confine/capabilities.ts';
import type { Confinement } from '../confine/confinement.ts';
import { onEveryThread } from '../confine/every-thread.ts';
import { type KernelCalls, kernelCalls } from '../confine/kernel-calls.ts';
import { restrictionBy } from '../confine/landlock.ts';
import { cellFilter } from '../confine/seccomp-filter.ts';
import { HostError } from '../fault/host-error.ts';
import { type DescriptorPost, descriptorPost } from '../native/descriptors.ts';
import type { ConfineMessage, EquipMessage, RulesetGrant } from './protocol.ts';

const RLIMIT_DATA = 2;
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;
/** More than a guest's handles, a pool's files and Node's own together. */
const DESCRIPTORS_MAX = 8192n;

/** Opened before the filter is on. */
let post: DescriptorPost | null = null;

export type ConfineOrder = Omit<ConfineMessage, 'type'>;

/**
 * Gives up what this process is not to have, on all its threads and those to come, and says what is on now. There
 * is no limit on processes: the kernel counts them for a user and not for a cell, and the filter lets no process
 * begin.
 */
export function confineSelf({ dataBytes, ruleset, postFd, spentFd }: ConfineOrder): Confinement[] {
  if (spentFd !== null) closeSync(spentFd);
  // It tries itself by a call that the filter refuses.
  if (postFd !== null) post = descriptorPost();
  const kernel = dataBytes === null ? null : kernelCalls();
  if (dataBytes === null || kernel === null) return [];
  const held: Confinement[] = [];
  if (kernel.forbidNewPrivileges()) held.push(...giveUpRights(kernel, ruleset));
  const limited =
    limitData(kernel, dataBytes) &&
    kernel.limit(RLIMIT_NOFILE, DESCRIPTORS_MAX) &&
    kernel.limit(RLIMIT_CORE, 0n);
  if (limited) held.push('limits');
  if (kernel.forbidDumps()) held.push('memory');
  const filter = cellFilter(kernel.architecture, { pid: process.pid, postFd });
  if (kernel.filterCalls(filter, 'process')) held.push('calls');
  return held;
}

/**
 * Takes what the host has laid down in `postFd`, and gives up everything beyond it. Throws ERR_PROTOCOL when it is not
 * what the message says.
 */
export function equipSelf(
  postFd: number,
  { dataBytes, places, ruleset }: Omit<EquipMessage, 'type'>,
): readonly Confinement[] {
  const kernel = kernelCalls();
  const received = post?.receive(postFd, {
    bytesMax: 1,
    fdsMax: places.length,
    timeoutMs: 0,
  });
  const fds = received?.fds ?? [];
  const placed = fds.every((fd, at) => kernel!.duplicate(fd, places[at]!));
  for (const fd of [...fds, postFd]) closeSync(fd);
  if (fds.length !== places.length || !placed) {
    throw new HostError('ERR_PROTOCOL', 'The cell was not given what it was told of.', {
      facts: { told: places.length, given: fds.length, placed },
    });
  }
  if (dataBytes !== null) limitData(kernel!, dataBytes);
  return ruleset === null ? [] : restrictFiles(kernel!, ruleset);
}

/** Capabilities, and by Landlock everything that the ruleset does not leave open. */
function giveUpRights(kernel: KernelCalls, ruleset: RulesetGrant | null): Confinement[] {
  const isRoot = process.geteuid?.() === 0;
  const { architecture, addressOf } = kernel;
  const dropped = keepCapabilities(architecture, addressOf, isRoot ? KEPT_BY_ROOT : []);
  const held: Confinement[] = onEveryThread(kernel, [dropped]) ? ['privileges'] : [];
  return ruleset === null ? held : [...held, ...restrictFiles(kernel, ruleset)];
}

function limitData(kernel: KernelCalls, dataBytes: number): boolean {
  return kernel.limit(RLIMIT_DATA, BigInt(dataBytes));
}

function restrictFiles(
  kernel: KernelCalls,
  { hostFd, holds }: RulesetGrant,
): readonly Confinement[] {
  const done = onEveryThread(kernel, [restrictionBy(hostFd)]);
  closeSync(hostFd);
  return done ? holds : [];
}
