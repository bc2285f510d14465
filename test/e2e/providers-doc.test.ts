/** `docs/providers.md` is true: what it shows is what is there, and its commands do what it says. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { COMMAND, ROOT } from './stasis-command.ts';

const doc = readFileSync(join(ROOT, 'docs', 'providers.md'), 'utf8');
const blocks = Array.from(doc.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm), ([, kind, text]) => ({
  kind: kind!,
  text: text!,
}));
const scratch = scratchDirectory();

describe('docs/providers.md', () => {
  test.each([
    ['docs/examples/journal.mjs', 'js'],
    ['guests/include/journal.h', 'c'],
    ['guests/examples/journal.c', 'c'],
  ])('shows %s as it is', (file, kind) => {
    const shown = blocks.filter((block) => block.kind === kind).map(({ text }) => text);
    expect(shown).toContain(readFileSync(join(ROOT, file), 'utf8'));
    expect(doc).toContain(`\`${file}\``);
  });

  test('commands print what is written below them', () => {
    const session = blocks.find(({ kind }) => kind === 'console')!.text;
    // As a user has it: the paths of the repository, and `stasis` as a command.
    const place = join(scratch, 'place');
    for (const path of ['docs/examples', 'guests/build/examples']) {
      mkdirSync(dirname(join(place, path)), { recursive: true });
      cpSync(join(ROOT, path), join(place, path), { recursive: true });
    }
    mkdirSync(join(place, 'bin'));
    const program = `#!/bin/sh\nexec '${process.execPath}' '${COMMAND}' "$@"\n`;
    writeFileSync(join(place, 'bin', 'stasis'), program, { mode: 0o755 });
    let ran = 0;
    for (const part of session.split(/^\$ /m).slice(1)) {
      const [command = '', ...expected] = part.split('\n');
      const { stdout, stderr, status } = spawnSync('sh', ['-c', command], {
        cwd: place,
        env: {
          PATH: `${join(place, 'bin')}:${dirname(process.execPath)}:${process.env['PATH']}`,
          STASIS_HOME: join(scratch, 'home'),
        },
        encoding: 'utf8',
      });
      expect(stderr, command).not.toContain('error:');
      expect(status, command).toBe(0);
      const lines = expected.filter((line) => line !== '');
      if (lines.length > 0) expect(stdout.trim().split('\n'), command).toEqual(lines);
      ran += 1;
    }
    expect(ran).toBe(6);
    const records = readFileSync(join(place, 'records'), 'utf8').trimEnd().split('\n');
    expect(records).toEqual(Array.from({ length: 300 }, (_, at) => `record ${at + 1}`));
  });
});
