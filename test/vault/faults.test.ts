/**
 * Faults of the file system. A seal is recorded once to count its operations, then done again with a
 * fault at each of them: it must fail with a clear code, lose nothing, and leave the vault usable.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { FilePort, OpenFile } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import { makePlaces } from './places.ts';
import { ALICE, makeImage, open, opensAs, PAGE, SOFTWARE, sealRequest } from './test-vault.ts';

type Kind = keyof FilePort | keyof OpenFile;
/** Called before each operation with its name; throws to make it fail. */
type Hook = (operation: Kind) => void;

function hooked(files: FilePort, hook: Hook): FilePort {
  const wrap = (file: OpenFile): OpenFile => around(file, hook);
  return {
    ...around(files, hook),
    create: async (path) => {
      hook('create');
      return wrap(await files.create(path));
    },
    open: async (path) => {
      hook('open');
      return wrap(await files.open(path));
    },
  };
}

function around<T extends object>(target: T, hook: Hook): T {
  const entries = Object.entries(target) as [Kind, (...args: unknown[]) => Promise<unknown>][];
  return Object.fromEntries(
    entries.map(([name, operation]) => [
      name,
      async (...args: unknown[]) => {
        // As in Linux, a close that fails has closed all the same.
        if (name === 'close') await operation(...args);
        hook(name);
        return name === 'close' ? undefined : operation(...args);
      },
    ]),
  ) as T;
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

const SHARED = makeImage(1, 4);
const BIG = makeImage(2, 40);

describe.each([
  ['ENOSPC', 'ERR_DISK_FULL'],
  ['EDQUOT', 'ERR_DISK_FULL'],
  ['EIO', 'ERR_IO'],
])('%s at any operation of a seal', (system, expected) => {
  test.each(['once', 'for ever'])('%s', async (duration) => {
    let count = 0;
    let failAt = Number.POSITIVE_INFINITY;
    const seen: Kind[] = [];
    const hook: Hook = (operation) => {
      seen.push(operation);
      const hit = duration === 'once' ? count === failAt : count >= failAt;
      count++;
      if (hit) throw systemError(system);
    };
    const places = makePlaces();
    const vault = await open(places, { files: hooked(nodeFiles, hook) });
    const kept = await vault.seal(sealRequest(SHARED));
    seen.length = 0;
    count = 0;
    const first = await vault.seal(sealRequest(BIG));
    const operations = [...seen];
    await vault.remove(ALICE, [first.id]);
    expect(operations).toEqual(
      expect.arrayContaining(['create', 'write', 'datasync', 'syncDirectory']),
    );

    let refused = 0;
    for (failAt = 0; failAt < operations.length; failAt++) {
      count = 0;
      // Closing what was synced before can't lose anything, so its failure fails nothing.
      const harmless = operations[failAt] === 'close';
      const sealing = vault.seal(sealRequest(BIG));
      if (harmless) {
        const sealed = await sealing;
        count = Number.NEGATIVE_INFINITY;
        await vault.remove(ALICE, [sealed.id]);
      } else {
        await expect(sealing, operations[failAt]).rejects.toMatchObject({ code: expected });
        refused++;
      }
      count = Number.NEGATIVE_INFINITY;
      expect((await vault.list(ALICE)).map(({ id }) => id)).toEqual([kept.id]);
      expect(await opensAs(vault, ALICE, kept, SHARED)).toBe(true);
    }
    expect(refused).toBeGreaterThan(4);
    count = Number.NEGATIVE_INFINITY;
    expect(await opensAs(vault, ALICE, await vault.seal(sealRequest(BIG)), BIG)).toBe(true);
    await vault.close();

    // What could not be cleaned up then is cleaned up when the vault is opened again.
    const again = await open(places);
    expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(2);
    await again.close();
  });
});

test('EIO at any operation of an open or a removal', async () => {
  let count = 0;
  let failAt = Number.POSITIVE_INFINITY;
  const seen: Kind[] = [];
  const places = makePlaces();
  const vault = await open(places, {
    files: hooked(nodeFiles, (operation) => {
      seen.push(operation);
      if (count++ === failAt) throw systemError('EIO');
    }),
  });
  const kept = await vault.seal(sealRequest(SHARED));
  seen.length = 0;
  await vault.open(ALICE, kept.id, SOFTWARE);
  const operations = [...seen];
  expect(operations.filter((operation) => operation === 'read').length).toBeGreaterThan(1);
  for (failAt = 0; failAt < operations.length; failAt++) {
    count = 0;
    const opening = opensAs(vault, ALICE, kept, SHARED);
    if (operations[failAt] === 'close') expect(await opening).toBe(true);
    else await expect(opening, operations[failAt]).rejects.toMatchObject({ code: 'ERR_IO' });
  }
  // A removal reads the manifest; once it has committed, a pack that can't be deleted waits for a sweep.
  for (failAt = 0; failAt < 4; failAt++) {
    count = Number.NEGATIVE_INFINITY;
    const { id } = await vault.seal(sealRequest(BIG));
    seen.length = 0;
    count = 0;
    const removal = vault.remove(ALICE, [id]);
    const harmless = failAt >= 2;
    if (harmless) await removal;
    else await expect(removal, seen[failAt]).rejects.toMatchObject({ code: 'ERR_IO' });
    count = Number.NEGATIVE_INFINITY;
    if (!harmless) await vault.remove(ALICE, [id]);
    expect(await vault.list(ALICE)).toEqual([kept]);
  }
  expect(seen).toEqual(['open', 'read', 'close', 'remove']);
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(2);
  await vault.close();
  await (await open(places)).close();
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(1);
});

test('short writes and short reads are taken up where they ended', async () => {
  const short = (file: OpenFile): OpenFile => ({
    ...file,
    write: (bytes, position) => file.write(bytes.subarray(0, 5000), position),
    read: (into, position) => file.read(into.subarray(0, 777), position),
  });
  const files: FilePort = {
    ...nodeFiles,
    create: async (path) => short(await nodeFiles.create(path)),
    open: async (path) => short(await nodeFiles.open(path)),
  };
  const vault = await open(makePlaces(), { files });
  expect(await opensAs(vault, ALICE, await vault.seal(sealRequest(BIG)), BIG)).toBe(true);
  await vault.close();
});

test('a vault that fails while it is being made is made by the next attempt', async () => {
  for (let failAt = 0; ; failAt++) {
    const places = makePlaces();
    let count = 0;
    const files = hooked(nodeFiles, () => {
      if (count++ === failAt) throw systemError('EIO');
    });
    const outcome = await open(places, { files }).then(
      (vault) => vault.close().then(() => 'opened'),
      (error: { code: string }) => error.code,
    );
    const vault = await open(places);
    expect(await opensAs(vault, ALICE, await vault.seal(sealRequest(SHARED)), SHARED)).toBe(true);
    await vault.close();
    if (count <= failAt) {
      expect(failAt).toBeGreaterThan(15);
      return;
    }
    expect(['ERR_IO', 'opened']).toContain(outcome);
  }
});

test('a file system that really is full', async () => {
  const places = makePlaces();
  const room = makeSmallRoom(places.root);
  const vault = await open(places, { files: room.files });
  const kept = await vault.seal(sealRequest(SHARED));
  const huge = makeImage(3, 256);
  await expect(vault.seal(sealRequest(huge))).rejects.toMatchObject({ code: 'ERR_DISK_FULL' });
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(1);
  // Nearly full: some packs still fit, and what SQLite writes may not.
  room.fillUpTo(4 * PAGE);
  let refused = 0;
  for (let round = 0; round < 60 && refused < 3; round++) {
    try {
      await vault.seal(sealRequest({ pages: makeImage(round + 10, 2).pages }));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_DISK_FULL' });
      refused++;
    }
  }
  expect(refused).toBe(3);
  room.makeFree();
  expect(await opensAs(vault, ALICE, kept, SHARED)).toBe(true);
  const after = await vault.seal(sealRequest(BIG));
  await vault.close();
  const again = await open(places);
  expect(await opensAs(again, ALICE, after, BIG)).toBe(true);
  await again.close();
});

const ROOM_BYTES = 5 * 2 ** 20;

interface SmallRoom {
  readonly files: FilePort;
  /** Leaves only so many bytes. */
  fillUpTo(bytesLeft: number): void;
  makeFree(): void;
}

/** 5 MB at `path`: a file system of its own where this process may mount one, else a limit in the port. */
function makeSmallRoom(path: string): SmallRoom {
  const ballast = join(path, 'ballast');
  try {
    const options = `size=${ROOM_BYTES},mode=700`;
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    return limitedPort();
  }
  onTestFinished(() => {
    execFileSync('umount', ['-l', path]);
  });
  return {
    files: nodeFiles,
    fillUpTo: (bytesLeft) => {
      const { bavail, bsize } = statfsSync(path);
      writeFileSync(ballast, Buffer.alloc(bavail * bsize - bytesLeft));
    },
    makeFree: () => rmSync(ballast),
  };
}

function limitedPort(): SmallRoom {
  let left = ROOM_BYTES;
  const limit = (file: OpenFile): OpenFile => ({
    ...file,
    write: async (bytes, position) => {
      if (bytes.length > left) throw systemError('ENOSPC');
      left -= bytes.length;
      return file.write(bytes, position);
    },
  });
  return {
    files: { ...nodeFiles, create: async (path) => limit(await nodeFiles.create(path)) },
    fillUpTo: (bytesLeft) => {
      left = bytesLeft;
    },
    makeFree: () => {
      left = ROOM_BYTES;
    },
  };
}
