// Writes dist/: each program of the product as few files, so that starting one reads few.
//
//   command   cli/main.js, cli/detached-host.js    the command line, and the host of a detached job
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
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const PROGRAMS = {
  command: ['cli/main', 'cli/detached-host'],
  cell: ['cell/main'],
  guest: ['cell/worker', 'provider'],
  public: ['index'],
};

const source = fileURLToPath(new URL('src/', import.meta.url));
const dist = fileURLToPath(new URL('dist/', import.meta.url));

rmSync(dist, { recursive: true, force: true });
for (const [program, entries] of Object.entries(PROGRAMS)) {
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((entry) => [entry, `${source}${entry}.ts`])),
    platform: 'node',
    external: /^[^./]/,
  });
  await bundle.write({
    dir: dist,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: `parts/${program}-[name].js`,
    minify: false,
  });
  await bundle.close();
}
