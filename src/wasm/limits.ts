/**
 * How much of each thing a module may have.
 *
 * What an engine would refuse anyway is refused here first, so that a small hostile file can't make the
 * host hold millions of objects.
 *
 * Source: WebAssembly JavaScript interface, "Implementation-defined Limits"; those of sections and
 * of element segments are our own.
 */
export const MODULE_BYTES_MAX = 2 ** 30;
export const SECTIONS_MAX = 100_000;
export const TYPES_MAX = 1_000_000;
export const PARAMS_MAX = 1_000;
export const RESULTS_MAX = 1_000;
export const STRUCT_FIELDS_MAX = 10_000;
export const SUPERTYPES_MAX = 1;
export const IMPORTS_MAX = 1_000_000;
export const FUNCTIONS_MAX = 1_000_000;
export const TABLES_MAX = 100_000;
export const MEMORIES_MAX = 100_000;
export const TAGS_MAX = 1_000_000;
export const GLOBALS_MAX = 1_000_000;
export const EXPORTS_MAX = 1_000_000;
export const ELEMENT_SEGMENTS_MAX = 100_000;
export const ELEMENTS_MAX = 10_000_000;
export const DATA_SEGMENTS_MAX = 100_000;
export const BODY_BYTES_MAX = 7_654_321;
export const LOCALS_MAX = 50_000;
