/**
 * The vault beside what any backup program has to do with the same data, both in one run: 64 KiB pieces are named by
 * SHA-256, compressed by zstd, encrypted by AES-256-GCM, written and synced. And how its times grow with the number of
 * checkpoints in it.
 *
 * Of each three pages one can't be compressed and two can, as in a guest's memory, of which an image has no
 * pages of zeros.
 */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { Requester, SoftwareIdentity } from '../src/vault/checkpoint-info.ts';
import { openVault } from '../src/vault/open-vault.ts';
import type { Vault } from '../src/vault/vault.ts';
import { median } from './statistics.ts';

const PAGE = 65_536;
const MB = 1e6;
const COMPRESSING_MAX = 8;
const CHANGED_SHARE = 0.05;
const OF_A_JOB = 100;
const MANY_OWNERS = 100;
const compress = promisify(zstdCompress);

export interface VaultResult {
  readonly dataBytes: number;
  /** MB/s of the data; the second seal is of the data with 5 % of its pages changed. */
  readonly rates: {
    readonly seal: number;
    readonly sealAgain: number;
    readonly backupLike: number;
    readonly verify: number;
    readonly restore: number;
  };
  /** Of what a machine can do at most: MB/s, and milliseconds for a sync. */
  readonly anchors: {
    readonly memcpy: number;
    readonly aesGcm: number;
    readonly sha256: number;
    readonly fdatasyncMs: number;
  };
  readonly storedShare: number;
  readonly storedAgainShare: number;
  /** Medians by number of checkpoints. */
  readonly growth: readonly VaultGrowth[];
}

/** `listJob`: all of one job, of so many that each has a hundred. */
export const GROWING = [
  'seal',
  'findLast',
  'listJob',
  'restore',
  'remove',
  'collect',
  'open',
] as const;

export type VaultGrowth = {
  readonly checkpoints: number;
  /** Among whom they are divided evenly; all that is measured is the first one's. */
  readonly owners: number;
} & Readonly<Record<(typeof GROWING)[number], Took>>;

export interface Took {
  readonly ms: number;
  /** Of the processors, all threads together. */
  readonly processorMs: number;
}

const OWNER: Requester = { owner: 'uid:1000', entry: 'cli' };
const SOFTWARE: SoftwareIdentity = {
  module: 'ab'.repeat(32),
  instrumented: 'cd'.repeat(32),
  instrumenter: '1',
  host: '0',
  imageFormat: 1,
  engine: 'v8',
};

export async function measureVault(options: {
  readonly folder: string;
  readonly pages: number;
  readonly rounds: number;
  readonly checkpoints: readonly number[];
}): Promise<VaultResult> {
  const { folder, rounds, checkpoints } = options;
  const data = makeData(options.pages);
  const kinds = [
    'seal',
    'sealAgain',
    'backupLike',
    'verify',
    'restore',
    'memcpy',
    'aesGcm',
    'sha256',
  ] as const;
  const times: Record<(typeof kinds)[number], number[]> = {
    seal: [],
    sealAgain: [],
    backupLike: [],
    verify: [],
    restore: [],
    memcpy: [],
    aesGcm: [],
    sha256: [],
  };
  const syncs: number[] = [];
  let storedShare = 0;
  let storedAgainShare = 0;
  for (let round = 0; round < rounds; round++) {
    const place = join(folder, `vault-${round}`);
    const vault = await openAt(place);
    const timed = async <T>(
      kind: (typeof kinds)[number],
      work: () => T | Promise<T>,
    ): Promise<T> => {
      const start = performance.now();
      const result = await work();
      times[kind].push(performance.now() - start);
      return result;
    };
    await timed('memcpy', () => Buffer.from(data));
    await timed('aesGcm', () => encryptAll(data));
    await timed('sha256', () => createHash('sha256').update(data).digest());
    for (let count = 0; count < 5; count++) syncs.push(timeSync(join(folder, 'sync')));
    await timed('backupLike', () => backupLike(data, join(folder, `pack-${round}`)));
    const first = await timed('seal', () => seal(vault, 'big', data));
    changeSome(data, round);
    const second = await timed('sealAgain', () => seal(vault, 'big', data));
    storedShare = first.storedBytes / data.length;
    storedAgainShare = second.storedBytes / first.storedBytes;
    await timed('restore', () => vault.open(OWNER, second.id, SOFTWARE));
    await timed('verify', () => vault.verify({ depth: 'data' }));
    await vault.close();
    rmSync(place, { recursive: true });
  }
  const rate = (kind: (typeof kinds)[number]): number =>
    data.length / MB / (median(times[kind]) / 1000);
  return {
    dataBytes: data.length,
    rates: {
      seal: rate('seal'),
      sealAgain: rate('sealAgain'),
      backupLike: rate('backupLike'),
      verify: rate('verify'),
      restore: rate('restore'),
    },
    anchors: {
      memcpy: rate('memcpy'),
      aesGcm: rate('aesGcm'),
      sha256: rate('sha256'),
      fdatasyncMs: median(syncs),
    },
    storedShare,
    storedAgainShare,
    growth: [
      ...(await measureGrowth(join(folder, 'grown'), checkpoints, 1)),
      ...(await measureGrowth(join(folder, 'grown'), checkpoints.slice(-1), MANY_OWNERS)),
    ],
  };
}

async function measureGrowth(
  place: string,
  counts: readonly number[],
  owners: number,
): Promise<VaultGrowth[]> {
  const found: VaultGrowth[] = [];
  let vault = await openAt(place);
  let sealed = 0;
  const next = (owner = 0) => {
    const number = sealed++;
    const job = `job-${Math.floor(number / owners / OF_A_JOB)}`;
    return seal(vault, job, smallData(number), { ...OWNER, owner: `uid:${1000 + owner}` });
  };
  const times = async (work: () => Promise<unknown>, count = 5): Promise<Took> => {
    const all: Took[] = [];
    for (let done = 0; done < count; done++) {
      const [start, before] = [performance.now(), process.cpuUsage()];
      await work();
      const ms = performance.now() - start;
      const { user, system } = process.cpuUsage(before);
      all.push({ ms, processorMs: (user + system) / 1000 });
    }
    return {
      ms: median(all.map(({ ms }) => ms)),
      processorMs: median(all.map(({ processorMs }) => processorMs)),
    };
  };
  for (const checkpoints of counts) {
    while (sealed < checkpoints) await next(sealed % owners);
    const last = (await vault.find(OWNER, {}))!;
    const doomed: string[] = [];
    const sealing = await times(async () => void doomed.push((await next()).id));
    found.push({
      checkpoints,
      owners,
      seal: sealing,
      findLast: await times(() => vault.find(OWNER, {})),
      listJob: await times(() => vault.list(OWNER, { job: 'job-0' })),
      restore: await times(() => vault.open(OWNER, last.id, SOFTWARE)),
      remove: await times(() => vault.remove(OWNER, [doomed.pop()!])),
      collect: await times(() => vault.collect(), 3),
      open: await times(async () => {
        await vault.close();
        vault = await openAt(place);
      }, 3),
    });
  }
  await vault.close();
  rmSync(place, { recursive: true });
  return found;
}

function openAt(place: string): Promise<Vault> {
  mkdirSync(place, { recursive: true, mode: 0o700 });
  return openVault({
    directory: join(place, 'vault'),
    key: { kind: 'file', path: join(place, 'key', 'master.key') },
    now: () => new Date(),
    random: randomBytes,
  });
}

function seal(vault: Vault, name: string, pages: Uint8Array, requester = OWNER) {
  return vault.seal({
    requester,
    job: name,
    name,
    run: 1,
    logBytes: 0,
    cause: 'request',
    software: SOFTWARE,
    head: randomBytes(200),
    pages,
  });
}

function makeData(pages: number): Buffer {
  const data = Buffer.alloc(pages * PAGE);
  for (let page = 0; page < pages; page++) {
    const part = data.subarray(page * PAGE, (page + 1) * PAGE);
    if (page % 3 === 0) randomBytes(PAGE).copy(part);
    else for (let at = 0; at < PAGE; at += 4) part.writeUInt32LE((at * (page + 1)) & 0xffff, at);
  }
  return data;
}

/** A page that no other image has. */
function smallData(number: number): Buffer {
  const data = Buffer.alloc(PAGE, number & 0xff);
  data.writeUInt32LE(number, 0);
  return data;
}

function changeSome(data: Buffer, round: number): void {
  const pages = data.length / PAGE;
  for (let page = round; page < pages; page += Math.round(1 / CHANGED_SHARE)) {
    data.writeUInt32LE((data.readUInt32LE(page * PAGE) + 1) >>> 0, page * PAGE);
  }
}

function encryptAll(data: Uint8Array): void {
  const key = randomBytes(32);
  for (let at = 0; at < data.length; at += PAGE) {
    const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
    cipher.update(data.subarray(at, at + PAGE));
    cipher.final();
  }
}

function timeSync(path: string): number {
  const fd = openSync(path, 'w');
  writeSync(fd, randomBytes(4096));
  const start = performance.now();
  fdatasyncSync(fd);
  const took = performance.now() - start;
  closeSync(fd);
  return took;
}

/** Chunk, name, compress, encrypt, write, sync: no index, no ledger, no second copy of anything. */
async function backupLike(data: Uint8Array, path: string): Promise<void> {
  const fd = openSync(path, 'w');
  const key = randomBytes(32);
  const seen = new Set<string>();
  const running: Promise<Buffer>[] = [];
  let next = 0;
  const start = (): void => {
    while (next < data.length && running.length < COMPRESSING_MAX) {
      const piece = data.subarray(next, next + PAGE);
      next += PAGE;
      const name = createHash('sha256').update(piece).digest('hex');
      if (seen.has(name)) continue;
      seen.add(name);
      running.push(compress(piece, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }));
    }
  };
  for (start(); running.length > 0; start()) {
    const packed = await running.shift()!;
    const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
    writeSync(fd, Buffer.concat([cipher.update(packed), cipher.final(), cipher.getAuthTag()]));
  }
  fdatasyncSync(fd);
  closeSync(fd);
  rmSync(path);
}
