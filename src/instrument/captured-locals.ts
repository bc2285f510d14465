/**
 * The locals of a function that can be captured, and how its frame is handed over.
 *
 * In order: parameters and declared locals, the site's local, the counter's where a loop is strip-mined,
 * spills. A frame holds what is read again behind a site, and not the site, which goes along by itself, nor the counter,
 * which is set anew wherever it is needed.
 */
import type { ByteWriter } from '../wasm/byte-writer.ts';
import { OP } from '../wasm/opcodes.ts';
import { I32 } from '../wasm/value-type.ts';
import { callHost, LOCALS, type Variable, writeSaves } from './frame-code.ts';
import type { FunctionScanner } from './function-scan.ts';
import { BASE_TYPE, type Layout, SLOT } from './layout.ts';

/** Declares all locals behind the first `params`. */
export function writeLocals(out: ByteWriter, scan: FunctionScanner, params: number): void {
  const { spillTypes } = scan.values;
  const runs: { type: number; count: number }[] = [];
  const add = (type: number): void => {
    const last = runs[runs.length - 1];
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  };
  for (let i = params; i < scan.declared; i++) add(scan.localTypes.at(i));
  for (let i = scan.declared; i < scan.spillBase; i++) add(I32);
  for (let i = 0; i < spillTypes.length; i++) add(spillTypes.at(i));
  out.u32(runs.length);
  for (const { type, count } of runs) {
    out.u32(count);
    out.u8(type);
  }
}

/** What a frame holds: the declared locals that anything reads behind a site, and the spills. */
export function savedLocals(scan: FunctionScanner): Variable[] {
  const { spillTypes } = scan.values;
  const saved: Variable[] = [];
  for (let index = 0; index < scan.declared; index++) {
    if (scan.live.isSaved(index)) saved.push({ index, type: scan.localTypes.at(index) });
  }
  for (let i = 0; i < spillTypes.length; i++) {
    saved.push({ index: scan.spillBase + i, type: spillTypes.at(i) });
  }
  return saved;
}

/** Hands the frame to the host: which function, at which site, and what its locals are. */
export function writeFrame(out: ByteWriter, scan: FunctionScanner, layout: Layout): void {
  out.u8(OP.i32_const);
  out.s32(scan.func);
  out.u8(OP.local_get);
  out.u32(scan.siteLocal);
  callHost(out, layout, SLOT.begin, BASE_TYPE.begin);
  writeSaves(out, layout, LOCALS, savedLocals(scan));
}
