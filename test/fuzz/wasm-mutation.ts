/**
 * Changes of WebAssembly modules that keep sizes right around what they change: sections put elsewhere, doubled,
 * left out or exchanged with another module's, and bytes changed within one section or one function's body.
 */
import type { Random } from '../cbor/random-value.ts';
import { below, leb, mutateBytes, pick, spliced } from './mutation.ts';

const HEADER_BYTES = 8;
const CODE = 10;

interface Section {
  readonly id: number;
  readonly content: Uint8Array;
}

export function mutateModule(
  random: Random,
  seed: Uint8Array,
  others: readonly Uint8Array[],
): Uint8Array {
  if (random() < 0.15) return mutateBytes(random, seed, others);
  const sections = split(seed);
  for (let count = 1 + below(random, 3); count > 0; count--) {
    const at = below(random, sections.length);
    const section = sections[at]!;
    switch (below(random, 6)) {
      case 0:
        sections.splice(below(random, sections.length), 0, section);
        break;
      case 1:
        if (sections.length > 1) sections.splice(at, 1);
        break;
      case 2:
        sections[at] = pick(random, split(pick(random, others)));
        break;
      case 3:
        sections[at] = { id: below(random, 16), content: section.content };
        break;
      default:
        sections[at] = { id: section.id, content: mutateContent(random, section, others) };
    }
  }
  return join(seed.subarray(0, HEADER_BYTES), sections);
}

function mutateContent(
  random: Random,
  { id, content }: Section,
  others: readonly Uint8Array[],
): Uint8Array {
  const bodies = id === CODE ? splitBodies(content) : null;
  if (bodies === null || bodies.length === 0) return mutateBytes(random, content, others);
  const at = below(random, bodies.length);
  bodies[at] = mutateBytes(random, bodies[at]!, random() < 0.5 ? bodies : others);
  const parts = bodies.flatMap((body) => [leb(BigInt(body.length)), body]);
  return concatenated([leb(BigInt(bodies.length)), ...parts]);
}

function split(bytes: Uint8Array): Section[] {
  const sections: Section[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const { value, next } = readLeb(bytes, at + 1);
    sections.push({ id: bytes[at]!, content: bytes.subarray(next, next + value) });
    at = next + value;
  }
  return sections;
}

function splitBodies(content: Uint8Array): Uint8Array[] {
  const bodies: Uint8Array[] = [];
  let { value: count, next: at } = readLeb(content, 0);
  for (; count > 0 && at < content.length; count--) {
    const { value, next } = readLeb(content, at);
    bodies.push(content.subarray(next, next + value));
    at = next + value;
  }
  return bodies;
}

function readLeb(bytes: Uint8Array, from: number): { value: number; next: number } {
  let value = 0;
  for (let at = from, shift = 0; ; at++, shift += 7) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, next: at + 1 };
  }
}

function join(header: Uint8Array, sections: readonly Section[]): Uint8Array {
  const parts = sections.flatMap(({ id, content }) => [
    Uint8Array.of(id),
    leb(BigInt(content.length)),
    content,
  ]);
  return concatenated([header, ...parts]);
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  let bytes: Uint8Array = new Uint8Array();
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return spliced(bytes, 0, 0, new Uint8Array());
}
