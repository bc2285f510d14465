import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EngineModule, engine } from '../../src/wasm/engine.ts';
import {
  GUESTS,
  listedDigests,
  moduleBytes,
  modulesOfSources,
  presentModules,
} from './built-modules.ts';

const { customSections } = engine.Module as unknown as {
  customSections: (module: EngineModule, name: string) => readonly ArrayBuffer[];
};
const EXIT = { done: 0, usage: 2, different: 3, noToolchain: 4, otherToolchain: 5 };
const SCRIPT = fileURLToPath(new URL('../wasm-build.sh', GUESTS));

describe('the committed modules', () => {
  it('are those of the sources, each with a digest', () => {
    expect(presentModules().length).toBeGreaterThan(30);
    expect(presentModules()).toEqual(modulesOfSources());
    expect([...listedDigests().keys()].sort()).toEqual(presentModules());
  });

  it.each(presentModules())('%s has its digest and is valid', (name) => {
    const bytes = moduleBytes(name);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(listedDigests().get(name));
    expect(engine.validate(bytes)).toBe(true);
  });

  it.each(presentModules())('%s has names, and neither debug sections nor paths', (name) => {
    const bytes = moduleBytes(name);
    const module = new engine.Module(bytes);
    expect(customSections(module, 'name')).toHaveLength(1);
    expect(customSections(module, '.debug_info')).toHaveLength(0);
    // Of the building machine; the paths of Rust's library are of its own build.
    const text = Buffer.from(bytes).toString('latin1');
    expect(text).not.toMatch(/\/(tmp|home|root)\//);
  });

  it('are all in the README', () => {
    const readme = readFileSync(new URL('README.md', GUESTS), 'utf8');
    for (const name of presentModules()) {
      const source = name.replace(/^(examples|kernels|kv|pools)\//, '');
      expect(readme).toMatch(new RegExp(`^\\| \`(rust/)?${source}\\.(c|wat|rs)\` \\|`, 'm'));
    }
  });
});

describe('wasm-build.sh', () => {
  // A copy somewhere else: the same bytes must come out of any directory.
  let elsewhere = '';
  beforeAll(() => {
    elsewhere = mkdtempSync(join(tmpdir(), 'stasis-wasm-build-'));
    cpSync(SCRIPT, join(elsewhere, 'wasm-build.sh'));
    cpSync(fileURLToPath(GUESTS), join(elsewhere, 'guests'), { recursive: true });
  });
  afterAll(() => rmSync(elsewhere, { recursive: true }));

  const build = (...args: string[]) =>
    spawnSync(join(elsewhere, 'wasm-build.sh'), args, { encoding: 'utf8' });

  it('--check finds the same digests, or says what keeps it from comparing', () => {
    const { status, stdout, stderr } = build('--check');
    switch (status) {
      case EXIT.noToolchain:
        expect(stderr).toMatch(/^error: the guests' toolchain lacks: \S/m);
        expect(stderr).toMatch(/^try: apt-get install .*clang-14 lld-14 wasi-libc/m);
        break;
      case EXIT.otherToolchain:
        expect(stderr).toMatch(/^error: .* built by another toolchain/m);
        break;
      default:
        expect(stderr).toBe('');
        expect(status).toBe(EXIT.done);
        expect(stdout).toContain(`same digests: ${presentModules().length} modules`);
    }
  });

  it('--check names the module that is not what its source gives', () => {
    const source = join(elsewhere, 'guests', 'nqueens.c');
    writeFileSync(source, readFileSync(source, 'utf8').replace('2680', '2681'));
    const { status, stderr } = build('--check');
    if (status !== EXIT.noToolchain && status !== EXIT.otherToolchain) {
      expect(status).toBe(EXIT.different);
      expect(stderr.match(/^> .*/gm)).toEqual([expect.stringMatching(/ nqueens\.wasm$/)]);
    }
    const committed = listedDigests().get('nqueens');
    const inCopy = readFileSync(join(elsewhere, 'guests', 'build', 'nqueens.wasm'));
    expect(createHash('sha256').update(inCopy).digest('hex')).toBe(committed);
  });

  it('explains itself, and refuses what it does not know', () => {
    const help = build('--help');
    expect(help.status).toBe(EXIT.done);
    expect(help.stdout).toMatch(/^usage: \.\/wasm-build\.sh/);
    const unknown = build('--chekc');
    expect(unknown.status).toBe(EXIT.usage);
    expect(unknown.stderr).toMatch(/^usage: /);
    expect(build('--check', 'twice').status).toBe(EXIT.usage);
  });
});
