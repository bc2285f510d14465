/** Section numbers, names, and the order in which sections stand. */

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

export type SectionId = (typeof SECTION)[keyof typeof SECTION];

/** By section number: its place in the order. Sections of a module rise strictly; custom ones don't count. */
const ORDER: readonly number[] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6];

const NAMES: readonly string[] = [
  'custom',
  'type',
  'import',
  'function',
  'table',
  'memory',
  'global',
  'export',
  'start',
  'element',
  'code',
  'data',
  'data count',
  'tag',
];

/** Whether a byte is the number of a section. */
export function isSectionId(id: number): id is SectionId {
  return id < NAMES.length;
}

/** A section's place in the order, from 1. */
export function sectionOrder(id: SectionId): number {
  return ORDER[id]!;
}

/** `the type section`, as errors say it. */
export function sectionName(id: SectionId): string {
  return `the ${NAMES[id]} section`;
}
