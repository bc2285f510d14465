// Runs a module on node:wasi, as its documentation shows it.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const wasi = new WASI({ version: 'preview1', args: ['guest'], env: {} });
const { instance } = await WebAssembly.instantiate(
  readFileSync(process.argv[2]),
  wasi.getImportObject(),
);
wasi.start(instance);
