/** Export section: u32 count, then that many of a name, a kind byte and a u32 index. */
import { ByteReader } from './byte-reader.ts';
import { EXPORTS_MAX } from './limits.ts';
import { SECTION, sectionName } from './section-id.ts';

/** What can be imported and exported, in the order of the kind byte. */
export const EXTERNAL_KINDS = ['func', 'table', 'memory', 'global', 'tag'] as const;

export type ExternalKind = (typeof EXTERNAL_KINDS)[number];

export interface ModuleExport {
  readonly name: string;
  readonly kind: ExternalKind;
  /** In the index space of `kind`, imports first. */
  readonly index: number;
}

export function readExportSection(bytes: Uint8Array, start: number, end: number): ModuleExport[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.export));
  const exports: ModuleExport[] = [];
  const count = reader.count(EXPORTS_MAX, 3);
  for (let i = 0; i < count; i++) {
    const name = reader.name();
    const offset = reader.at;
    const kind = EXTERNAL_KINDS[reader.byte()];
    if (kind === undefined) throw reader.refusal('has an unknown kind of export', offset);
    exports.push({ name, kind, index: reader.u32() });
  }
  reader.finish();
  return exports;
}
