// Writes dist/: each program of the product as few files, so that starting one reads few.
//
//   command   cli/main.js, cli/detached-host.js    the command line, and the host of a detached job
//             cli/attendant.js                     who serves a connection of a daemon
//   cell      cell/main.js, cell/main-restored.js  the main thread of a guest's process
//   guest     cell/worker.js, provider.js          the guest's thread, and what providers are made with
//   public    index.js                             what another program may import
//
// What only some runs need is imported by `await import(…)` and becomes a file of its own, under parts/. Every file is
// exactly one directory below dist/, as its source is below src/: paths to other files are told from there.
// Packages are taken in, @wasmer/wasi as the file that it is: a cell needs no permission beyond dist/, and finds nothing
// that was not there when the program was made. packages.txt has their licences. Nothing is made shorter: names
// in stack traces are those of the source.
//
// Any Node from 20.19 on can run this: `npm ci` runs it with whichever is on the PATH.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const PROGRAMS = {
  command: ['cli/main', 'cli/detached-host', 'cli/attendant'],
  cell: ['cell/main', 'cell/main-restored'],
  guest: ['cell/worker', 'provider'],
  public: ['index'],
};

const source = fileURLToPath(new URL('src/', import.meta.url));
const dist = fileURLToPath(new URL('dist/', import.meta.url));

const { resolve: find } = createRequire(import.meta.url);
/** For Node the package names a file here that brings its writer along. */
const cborReader = join(dirname(find('cbor-x/package.json')), 'decode.js');

/**
 * Which part of a program a file belongs to: what the last of its entries needs from the start is one, what the one
 * before needs besides another, and so on, so that an entry reads as many files as there are entries. An
 * entry is none's: another one that shares its part would run it. What is imported later is left to the bundler.
 */
function partOf(entries) {
  let parts = null;
  const collect = (entry, context) => {
    const files = new Set([entry]);
    for (const file of files) {
      for (const needed of context.getModuleInfo(file).importedIds) {
        if (needed.startsWith(source)) files.add(needed);
      }
    }
    return { name: basename(entry, '.ts'), files };
  };
  return (file, context) => {
    parts ??= entries.map((entry) => collect(entry, context)).reverse();
    if (entries.includes(file)) return null;
    return parts.find(({ files }) => files.has(file))?.name ?? null;
  };
}

/** Directory of the package that a file belongs to; null for a file of ours. */
function packageOf(file) {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? null;
}

/** A package's name, release and licence. Throws for one without: it must not be passed on. */
function noticeOf(directory) {
  const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const licence = readdirSync(directory).find((file) => /^licen[cs]e/i.test(file));
  if (licence === undefined) throw new Error(`${name} comes without a licence`);
  return `${name} ${version}\n\n${readFileSync(join(directory, licence), 'utf8')}`;
}

const packages = new Set();
rmSync(dist, { recursive: true, force: true });
for (const [program, entries] of Object.entries(PROGRAMS)) {
  const files = entries.map((entry) => `${source}${entry}.ts`);
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((entry, at) => [entry, files[at]])),
    platform: 'node',
    external: /^node:/,
    resolve: { alias: { 'cbor-x/decode': cborReader } },
  });
  const { output } = await bundle.write({
    dir: dist,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: `parts/${program}-[name].js`,
    minify: false,
    comments: false,
    codeSplitting: {
      groups: [{ debugName: 'parts', name: partOf(files) }],
    },
  });
  await bundle.close();
  for (const { moduleIds = [] } of output) {
    for (const file of moduleIds) packages.add(packageOf(file));
  }
}

// Run anew for each guest that needs it (`wasi/wasmer-package.ts`), so it stays a file.
const wasmer = find('@wasmer/wasi');
mkdirSync(join(dist, 'packages'));
copyFileSync(wasmer, join(dist, 'packages/wasmer-wasi.cjs'));
packages.add(packageOf(wasmer));

packages.delete(null);
writeFileSync(join(dist, 'packages.txt'), [...packages].sort().map(noticeOf).join('\n'));
