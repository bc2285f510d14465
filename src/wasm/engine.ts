/**
 * The engine's own `WebAssembly`, as far as this project uses it.
 *
 * The TypeScript library has these types only among those of a browser's page, together with hundreds
 * that would be wrong here; and tags and exceptions not at all.
 *
 * Source: WebAssembly JavaScript interface; exception handling proposal, "JS API".
 */
export interface EngineModule {
  readonly engineModule: never;
}

export type WasmFunction = (...args: never[]) => unknown;

export interface EngineMemory {
  readonly buffer: ArrayBuffer;
  /** In pages of 64 KiB; a bigint on a 64-bit memory. Returns the old size. */
  grow(pages: number | bigint): number | bigint;
}

export interface EngineTable {
  readonly length: number | bigint;
  get(index: number | bigint): WasmFunction | null;
  set(index: number | bigint, value: WasmFunction | null): void;
  grow(entries: number | bigint): number | bigint;
}

export interface EngineGlobal {
  value: number | bigint;
}

export interface EngineTag {
  readonly engineTag: never;
}

export type EngineExport = WasmFunction | EngineMemory | EngineTable | EngineGlobal | EngineTag;

export type EngineImports = Readonly<Record<string, Readonly<Record<string, EngineExport>>>>;

export interface EngineInstance {
  readonly exports: Readonly<Record<string, EngineExport>>;
}

interface Engine {
  readonly validate: (bytes: Uint8Array) => boolean;
  readonly Module: new (bytes: Uint8Array) => EngineModule;
  readonly Instance: new (module: EngineModule, imports?: EngineImports) => EngineInstance;
  readonly Memory: new (descriptor: { initial: number }) => EngineMemory;
  readonly Table: new (descriptor: { element: 'anyfunc'; initial: number }) => EngineTable;
  readonly Exception: new (tag: EngineTag, payload: readonly unknown[]) => object;
  readonly RuntimeError: new (message?: string) => Error;
  readonly CompileError: new (message?: string) => Error;
  readonly LinkError: new (message?: string) => Error;
}

export const engine: Engine = (globalThis as unknown as { WebAssembly: Engine }).WebAssembly;
