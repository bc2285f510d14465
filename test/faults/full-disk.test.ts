/** A disk with no room left: a small file system where this process may mount one, else a limit in the port. */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { FilePort, OpenFile } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import { makePlaces } from '../vault/places.ts';
import { ALICE, makeImage, open, opensAs, PAGE, sealRequest } from '../vault/test-vault.ts';
import { systemError } from './watched-port.ts';

const SHARED = makeImage(1, 4);
const BIG = makeImage(2, 40);

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
