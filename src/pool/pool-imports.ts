/**
 * The calls of `guests/include/stasis-pool.h`: the import module `stasis_pool`.
 *
 * Each answers with an errno of WASI as i32, or INTERRUPTED. Pointers and counts arrive as i32 and are read
 * as u32. Nothing is written to the guest's memory unless the answer is SUCCESS.
 *
 *   open(name, name_len, page_bytes, address, slots, flags, pool_out)
 *   close(pool)          flush(pool)
 *   pin(pool, page, mode, address_out)
 *   unpin(pool, page, dirty)
 *   changed(pool, page, changed_out)        u32
 *   version(pool, page, version_out)        u64
 *   facts(pool, facts_out)                  48 bytes: page bytes u32 0, slots u32 4, frames u32 8,
 *                                           pages u32 12, flags u32 16, pinned u32 20, changes u64 24,
 *                                           zero 32
 */
import { ERRNO } from '../abi/errno.ts';
import { decodeUtf8 } from '../abi/guest-string.ts';
import { HostError } from '../fault/host-error.ts';
import type { GuestAccess, GuestFunction } from '../resource/provider.ts';
import type { GuestPool } from './guest-pool.ts';
import { type OpenPools, POOL_FLAG } from './open-pools.ts';
import { POOL_NAME_MAX } from './pin.ts';
import { type Waits, waitingFor } from './waiting.ts';

const MODE = { write: 1, noWait: 2 } as const;
const FACTS_BYTES = 48;

type Call = (args: readonly number[], waits: Waits) => number;

/** `guest` is asked at each call: it is not there before the guest is. */
export function poolImports(
  pools: OpenPools,
  guest: () => GuestAccess,
): Readonly<Record<string, GuestFunction>> {
  const fits = (pointer: number, length: number): boolean => guest().memory.holds(pointer, length);

  const open: Call = ([name, nameLength, pageBytes, address, slots, flags, out], waits) => {
    const { memory } = guest();
    if (!fits(name!, nameLength!) || !fits(out!, 4)) return ERRNO.FAULT;
    if (nameLength! > POOL_NAME_MAX) return ERRNO.NAMETOOLONG;
    const text = decodeUtf8(memory.bytes.slice(name!, name! + nameLength!));
    if (text === null) return ERRNO.ILSEQ;
    const asked = { name: text, pageBytes: pageBytes!, address: address!, slots: slots! };
    return pools.open({ ...asked, flags: flags! }, waits, (number) =>
      memory.view.setUint32(out!, number, true),
    );
  };

  const pin: Call = ([number, page, mode, out], waits) => {
    const pool = pools.get(number!);
    if (pool === null) return ERRNO.BADF;
    if (mode! > (MODE.write | MODE.noWait)) return ERRNO.INVAL;
    if (!fits(out!, 4)) return ERRNO.FAULT;
    const answer = pool.take(page!, (mode! & MODE.write) !== 0, (mode! & MODE.noWait) === 0, waits);
    if (answer === ERRNO.SUCCESS) {
      guest().memory.view.setUint32(out!, pool.addressOf(pool.pin(page!)!), true);
    }
    return answer;
  };

  const unpin: Call = ([number, page, dirty], waits) => {
    const pool = pools.get(number!);
    if (pool === null) return ERRNO.BADF;
    return pool.give(page!, dirty !== 0, waits);
  };

  const changed: Call = ([number, page, out]) => {
    const pin = pools.get(number!)?.pin(page!);
    if (pin === undefined) return ERRNO.BADF;
    if (pin === null) return ERRNO.INVAL;
    if (!fits(out!, 4)) return ERRNO.FAULT;
    guest().memory.view.setUint32(out!, pin.changed ? 1 : 0, true);
    pin.changed = false;
    return ERRNO.SUCCESS;
  };

  const version: Call = ([number, page, out], waits) => {
    const pool = pools.get(number!);
    if (pool === null) return ERRNO.BADF;
    if (!fits(out!, 8)) return ERRNO.FAULT;
    return pool.version(page!, waits, (now) => guest().memory.view.setBigUint64(out!, now, true));
  };

  const facts: Call = ([number, out]) => {
    const pool = pools.get(number!);
    if (pool === null) return ERRNO.BADF;
    if (!fits(out!, FACTS_BYTES)) return ERRNO.FAULT;
    writeFacts(guest().memory.view, out!, pool);
    return ERRNO.SUCCESS;
  };

  const flush: Call = ([number], waits) => pools.get(number!)?.flush(waits) ?? ERRNO.BADF;
  const close: Call = ([number], waits) => pools.close(number!, waits);

  const guarded =
    (call: Call): GuestFunction =>
    (...args) => {
      const { clock, pause } = guest();
      const sleep = (untilNs: bigint) => pause.wait(untilNs, { stdin: false });
      const waits: Waits = (limitMs) => waitingFor({ clock, limitMs, sleep });
      try {
        return call(
          args.map((arg) => Number(arg) >>> 0),
          waits,
        );
      } catch (error) {
        if (error instanceof HostError) return errnoOfFailure(error);
        throw error;
      }
    };

  return Object.fromEntries(
    Object.entries({ open, close, flush, pin, unpin, changed, version, facts }).map(
      ([name, call]) => [name, guarded(call)],
    ),
  );
}

function writeFacts(view: DataView, at: number, pool: GuestPool): void {
  const { grant, slots, frames, pinned, changes } = pool;
  const flags = (pool.isWindow ? POOL_FLAG.window : 0) | (grant.readOnly ? POOL_FLAG.readOnly : 0);
  const words = [grant.pageBytes, slots, frames, grant.pagesMax, flags, pinned];
  for (const [index, word] of words.entries()) view.setUint32(at + 4 * index, word, true);
  view.setBigUint64(at + 24, changes, true);
  view.setBigUint64(at + 32, 0n, true);
  view.setBigUint64(at + 40, 0n, true);
}

/** What went wrong with the pool itself, as far as a guest can be told. */
function errnoOfFailure({ code }: HostError): number {
  if (code === 'ERR_POOL_UNUSABLE') return ERRNO.BADMSG;
  if (code === 'ERR_DISK_FULL') return ERRNO.NOSPC;
  return ERRNO.IO;
}
