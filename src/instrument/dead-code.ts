/** Stepping over code that can't be reached. */
import { skipImmediates } from '../wasm/decode.ts';
import { PREFIX_BASE } from '../wasm/opcodes.ts';

/** From behind an unconditional transfer to the `else` or `end` that closes the innermost label. */
export function skipDead(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  let nested = 0;
  while (at < end) {
    const start = at;
    let op = bytes[at++]!;
    if (op >= 0xfb) {
      const base = PREFIX_BASE[op as keyof typeof PREFIX_BASE] ?? 0;
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = bytes[at++]!;
        value += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80 || shift > 28) break;
      }
      op = base + value;
    } else if (op === 0x0b || op === 0x05) {
      if (nested === 0) return start;
      if (op === 0x0b) nested--;
    } else if ((op >= 0x02 && op <= 0x04) || op === 0x06 || op === 0x1f) {
      nested++;
    } else if (op === 0x18) {
      // A legacy `delegate` closes its `try` as `end` would.
      nested--;
    }
    at = skipImmediates(op, bytes, at);
  }
  return end;
}
