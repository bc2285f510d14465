// Writes dist/: each program of the product as few files, so that starting one reads few.
//
//   command   cli/main.js, cli/detached-host.js    the command line, and the host of a detached job
//   launcher  host/launcher-thread.js              the thread that starts a cell
//   cell      cell/main.js                         the main thread of a guest's process
//   guest     cell/worker.js, provider.js          the guest's thread, and what providers are made with
//   public    index.js                             what another program may import
//
// What only some runs need is imported by `await import(…)` and becomes a file of its own, under parts/. Every file is
// exactly one directory below dist/, as its source is below src/: paths to other files are told from there.
// Packages stay where they are installed. Nothing is made shorter: names in stack traces are those of the
// source.
//
// Any Node from 20.19 on can run this: `npm ci` runs it with whichever is on the PATH.
import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const PROGRAMS = {
  command: ['cli/main', 'cli/detached-host'],
  launcher: ['host/launcher-thread'],
  cell: ['cell/main'],
  guest: ['cell/worker', 'provider'],
  public: ['index'],
};

const source = fileURLToPath(new URL('src/', import.meta.url));
const dist = fileURLToPath(new URL('dist/', import.meta.url));

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

rmSync(dist, { recursive: true, force: true });
for (const [program, entries] of Object.entries(PROGRAMS)) {
  const files = entries.map((entry) => `${source}${entry}.ts`);
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((entry, at) => [entry, files[at]])),
    platform: 'node',
    external: /^[^./]/,
  });
  await bundle.write({
    dir: dist,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: `parts/${program}-[name].js`,
    minify: false,
    codeSplitting: {
      groups: [{ debugName: 'parts', name: partOf(files) }],
    },
  });
  await bundle.close();
}
