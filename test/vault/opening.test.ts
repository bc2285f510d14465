import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { makePlaces } from './places.ts';
import { ALICE, open, opensAs, type Places, sealRequest } from './test-vault.ts';

async function makeVault(): Promise<Places & { id: string }> {
  const places = makePlaces();
  const vault = await open(places);
  const { id } = await vault.seal(sealRequest());
  await vault.close();
  return { ...places, id };
}

/** Every file below `root` with its content. */
function contentOf(root: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    try {
      files[path] = readFileSync(join(root, path)).toString('base64');
    } catch {
      files[path] = 'directory';
    }
  }
  return files;
}

describe('the key', () => {
  test('is made with the vault, one line, and used again', async () => {
    const { id, ...places } = await makeVault();
    expect(readFileSync(places.keyFile, 'utf8')).toMatch(/^stasis vault key 1 [0-9a-f]{64}\n$/);
    expect(readdirSync(join(places.root, 'keys'))).toEqual(['master.key']);
    const vault = await open(places);
    expect(await opensAs(vault, ALICE, { id }, sealRequest())).toBe(true);
    await vault.close();
  });

  test('when missing is not made anew while the vault is there', async () => {
    const places = await makeVault();
    rmSync(places.keyFile);
    const before = contentOf(places.root);
    await expect(open(places)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY' });
    expect(contentOf(places.root)).toEqual(before);
  });

  test('of another vault does not open this one', async () => {
    const [places, other] = [await makeVault(), await makeVault()];
    writeFileSync(places.keyFile, readFileSync(other.keyFile));
    const before = readFileSync(places.keyFile);
    await expect(open(places)).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY',
      message: expect.stringContaining('not the key of this vault'),
    });
    expect(readFileSync(places.keyFile)).toEqual(before);
  });

  test.each([
    ['readable by the group', 0o640],
    ['readable by all', 0o604],
  ])('%s is refused by name', async (_name, mode) => {
    const places = await makeVault();
    chmodSync(places.keyFile, mode);
    await expect(open(places)).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY',
      message: expect.stringContaining('other users'),
      hint: expect.stringContaining('chmod 600'),
    });
  });

  test.each([
    ['empty', ''],
    ['cut short', 'stasis vault key 1 abcd\n'],
    ['of a later kind', `stasis vault key 2 ${'ab'.repeat(32)}\n`],
    ['long', 'x'.repeat(5000)],
  ])('that is %s is refused and not shown', async (_name, content) => {
    const places = await makeVault();
    writeFileSync(places.keyFile, content);
    await expect(open(places)).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY',
      message: expect.stringContaining('does not hold a key'),
    });
  });

  test('may not be a symbolic link', async () => {
    const places = await makeVault();
    const elsewhere = join(places.root, 'elsewhere');
    writeFileSync(elsewhere, readFileSync(places.keyFile), { mode: 0o600 });
    rmSync(places.keyFile);
    symlinkSync(elsewhere, places.keyFile);
    await expect(open(places)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY' });
  });

  test('may not lie in the vault, by name or behind a link', async () => {
    const places = makePlaces();
    await expect(
      open({ ...places, keyFile: join(places.directory, 'keys', 'k') }),
    ).rejects.toMatchObject({ code: 'ERR_VAULT_KEY' });
    expect(existsSync(places.directory)).toBe(false);
    mkdirSync(places.directory, { mode: 0o700 });
    symlinkSync(places.directory, join(places.root, 'link'));
    await expect(
      open({ ...places, keyFile: join(places.root, 'link', 'k') }),
    ).rejects.toMatchObject({ code: 'ERR_VAULT_KEY' });
  });
});

describe('the directory', () => {
  test('open to others is refused by name', async () => {
    const places = await makeVault();
    chmodSync(places.directory, 0o755);
    await expect(open(places)).rejects.toMatchObject({
      code: 'ERR_STATE_ACCESS',
      facts: { mode: '755' },
      hint: expect.stringContaining('chmod 700'),
    });
  });

  test('that is a file is refused', async () => {
    const places = makePlaces();
    writeFileSync(places.directory, '');
    await expect(open(places)).rejects.toMatchObject({ code: 'ERR_STATE_ACCESS' });
  });

  test('missing makes no vault when an existing one is asked for', async () => {
    const places = makePlaces();
    await expect(open(places, { mode: 'existing' })).rejects.toMatchObject({
      code: 'ERR_NO_SUCH_DIRECTORY',
    });
    expect(readdirSync(places.root)).toEqual([]);
  });
});

describe('the index', () => {
  test('of a newer format is refused with both versions, and left as it is', async () => {
    const places = await makeVault();
    const path = join(places.directory, 'index.sqlite');
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 9');
    database.close();
    const before = contentOf(places.root);
    await expect(open(places)).rejects.toMatchObject({
      code: 'ERR_VAULT_VERSION',
      message: expect.stringMatching(/format 9.*format 3/),
      facts: { found: 9, supported: 3 },
    });
    expect(contentOf(places.root)).toEqual(before);
  });

  test('takes away what is left of a key that was not whole', async () => {
    const places = makePlaces();
    await (await open(places)).close();
    const scratch = join(dirname(places.keyFile), '.master.key.0123456789abcdef.new');
    writeFileSync(scratch, 'stasis vault', { mode: 0o600 });
    await (await open(places)).close();
    expect(readdirSync(dirname(places.keyFile))).toEqual(['master.key']);
  });

  test('missing beside its packs does not begin anew', async () => {
    const places = await makeVault();
    rmSync(join(places.directory, 'index.sqlite'));
    const before = contentOf(places.root);
    await expect(open(places)).rejects.toMatchObject({ code: 'ERR_VAULT_DAMAGED' });
    expect(contentOf(places.root)).toEqual(before);
  });

  test.each([
    ['random bytes', (path: string) => writeFileSync(path, Buffer.alloc(8192, 0xa5))],
    ['cut to a page', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 4096))],
    [
      'another database',
      (path: string) => {
        rmSync(path);
        const database = new DatabaseSync(path);
        database.exec('CREATE TABLE x (y)');
        database.close();
      },
    ],
    [
      'with a trigger of somebody',
      (path: string) => {
        const database = new DatabaseSync(path);
        database.exec('CREATE TRIGGER t AFTER INSERT ON ledger BEGIN DELETE FROM ledger; END');
        database.close();
      },
    ],
    [
      'without its first record',
      (path: string) => {
        const database = new DatabaseSync(path);
        database.exec('DELETE FROM vault');
        database.close();
      },
    ],
  ])('that is %s is refused by name', async (_name, spoil) => {
    const places = await makeVault();
    spoil(join(places.directory, 'index.sqlite'));
    await expect(open(places)).rejects.toMatchObject({ code: 'ERR_VAULT_DAMAGED' });
    expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(1);
  });
});

test('processes that make one vault at the same time make one', async () => {
  const places = makePlaces();
  const vaults = await Promise.all(Array.from({ length: 4 }, () => open(places)));
  await Promise.all(vaults.map((vault) => vault.seal(sealRequest())));
  expect(await vaults[0]!.list(ALICE)).toHaveLength(4);
  await Promise.all(vaults.map((vault) => vault.close()));
});
