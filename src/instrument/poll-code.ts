/**
 * What a poll consists of: fuel is charged, and when it falls below zero the host is asked.
 *
 * The local that names the site serves as a scratch register for the fuel: it is set to the site only where
 * the host is really called.
 */
import type { ByteWriter } from '../wasm/byte-writer.ts';
import { OP } from '../wasm/opcodes.ts';
import { EMPTY_BLOCK } from '../wasm/value-type.ts';
import type { FunctionScanner } from './function-scan.ts';
import { GLOBAL, type Layout } from './layout.ts';

/** Iterations of a strip-mined loop between two polls. */
export const CHUNK = 256;

/** Sets the local that says where the function stands. */
export function writeSite(out: ByteWriter, scan: FunctionScanner, site: number): void {
  out.u8(OP.i32_const);
  out.s32(site);
  out.u8(OP.local_set);
  out.u32(scan.siteLocal);
}

/** Sets how many iterations of a strip-mined loop are left before it polls. */
export function writeCounter(out: ByteWriter, scan: FunctionScanner, value: number): void {
  out.u8(OP.i32_const);
  out.s32(value);
  out.u8(OP.local_set);
  out.u32(scan.counterLocal);
}

/**
 * Writes a poll up to the call of the function that asks the host, which the caller writes, and the `end`
 * behind it. Returns where the `if` stands that is hardly ever taken. `mined`: it charges the iterations
 * that the counter says were made.
 */
export function openPoll(
  out: ByteWriter,
  scan: FunctionScanner,
  layout: Layout,
  { site, mined }: { readonly site: number; readonly mined: boolean },
): number {
  const fuel = layout.firstGlobal + GLOBAL.fuel;
  out.u8(OP.global_get);
  out.u32(fuel);
  if (mined) {
    out.u8(OP.local_get);
    out.u32(scan.counterLocal);
    out.u8(OP.i32_add);
  }
  out.u8(OP.i32_const);
  out.s32(mined ? CHUNK + 1 : 1);
  out.u8(OP.i32_sub);
  out.u8(OP.local_tee);
  out.u32(scan.siteLocal);
  out.u8(OP.global_set);
  out.u32(fuel);
  out.u8(OP.local_get);
  out.u32(scan.siteLocal);
  out.u8(OP.i32_const);
  out.u8(0);
  out.u8(OP.i32_lt_s);
  const cold = out.length;
  out.u8(OP.if);
  out.u8(EMPTY_BLOCK);
  writeSite(out, scan, site);
  return cold;
}

/** Gives one unit back, where a poll is passed a second time. */
export function writeRefund(out: ByteWriter, layout: Layout): void {
  const fuel = layout.firstGlobal + GLOBAL.fuel;
  out.u8(OP.global_get);
  out.u32(fuel);
  out.u8(OP.i32_const);
  out.u8(1);
  out.u8(OP.i32_add);
  out.u8(OP.global_set);
  out.u32(fuel);
}
