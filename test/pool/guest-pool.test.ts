import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import { scratchDirectory } from '../host/scratch.ts';
import {
  grantOf,
  INTERRUPTED,
  PAGE,
  PoolGuest,
  restarted,
  SLOTS_AT,
  setWords,
} from './pool-guest.ts';

const scratch = scratchDirectory();
let files = 0;
const newFile = (): string => join(scratch, `pages-${files++}`);
const WRITE = 1;
const NO_WAIT = 2;
const canShow = poolCalls() !== null;
/** The ways in which pages get into a guest's memory; `plain`: without any call of the system. */
const ways = canShow ? (['plain', 'copy', 'window'] as const) : (['plain'] as const);

describe.each(ways)('two guests of one pool: %s', (way) => {
  const window = way === 'window';
  const calls = way === 'plain' ? null : poolCalls();
  const pair = (more = {}) => {
    const grants = [grantOf(newFile(), more)];
    const [a, b] = [new PoolGuest({ grants, calls }), new PoolGuest({ grants, calls })];
    return { grants, a, b, pa: a.opened('p', { window }), pb: b.opened('p', { window }) };
  };

  test('what one publishes the other one pins', () => {
    const { a, b, pa, pb } = pair();
    a.writeWord(pa, 5, 77);
    expect(b.readWord(pb, 5)).toBe(77);
    b.writeWord(pb, 5, 78);
    b.writeWord(pb, 6, 79);
    expect([a.readWord(pa, 5), a.readWord(pa, 6), a.readWord(pa, 7)]).toEqual([78, 79, 0]);
    expect(a.version(pa, 5)).toBe(2n);
    for (const guest of [a, b]) guest.end();
  });

  test('changes that are not declared are not published', () => {
    const { a, b, pa, pb } = pair();
    a.writeWord(pa, 1, 1);
    setWords(a.pin(pa, 1, 'write'), 2);
    expect(a.unpin(pa, 1, false)).toBe(0);
    expect(b.readWord(pb, 1)).toBe(1);
    expect(a.readWord(pa, 1)).toBe(1);
    for (const guest of [a, b]) guest.end();
  });

  test('one guest at a time changes a page', () => {
    const { a, b, pa, pb } = pair();
    a.pin(pa, 3, 'write');
    expect(b.tryPin(pb, 3, WRITE | NO_WAIT)).toBe(ERRNO.AGAIN);
    b.isRequested = true;
    expect(b.tryPin(pb, 3, WRITE)).toBe(INTERRUPTED);
    b.isRequested = false;
    expect(a.unpin(pa, 3)).toBe(0);
    expect(b.tryPin(pb, 3, WRITE | NO_WAIT)).toBe(0);
    for (const guest of [a, b]) guest.end();
  });

  test('who waits to change a page is the next one', () => {
    const { grants, a, b, pa, pb } = pair();
    const c = new PoolGuest({ grants, calls });
    const pc = c.opened('p', { window });
    a.pin(pa, 3, 'write');
    b.stopAfterWaits = 2;
    expect(b.tryPin(pb, 3, WRITE)).toBe(INTERRUPTED);
    expect(a.unpin(pa, 3)).toBe(0);
    for (const [guest, pool] of [
      [a, pa],
      [c, pc],
    ] as const) {
      expect(guest.tryPin(pool, 3, WRITE | NO_WAIT)).toBe(ERRNO.AGAIN);
    }
    expect(b.tryPin(pb, 3, WRITE)).toBe(0);
    expect(b.unpin(pb, 3)).toBe(0);
    expect(a.tryPin(pa, 3, WRITE | NO_WAIT)).toBe(0);
    for (const guest of [a, b, c]) guest.end();
  });

  test('pages that are pinned for reading keep their bytes while others write', () => {
    const { a, b, pa, pb } = pair();
    a.writeWord(pa, 2, 1);
    const bytes = b.pin(pb, 2);
    // A window shows the page itself, so nobody may change it; a copy is the guest's own.
    const mayWrite = a.tryPin(pa, 2, WRITE | NO_WAIT);
    expect(mayWrite).toBe(window ? ERRNO.AGAIN : 0);
    if (!window) {
      expect(a.unpin(pa, 2, true)).toBe(0);
      a.writeWord(pa, 2, 9);
    }
    expect(Buffer.from(bytes).readUInt32LE(0)).toBe(1);
    expect(b.unpin(pb, 2)).toBe(0);
    a.writeWord(pa, 2, 10);
    expect(b.readWord(pb, 2)).toBe(10);
    for (const guest of [a, b]) guest.end();
  });

  test('more pages than frames: all are found again, also after all guests ended', () => {
    const { grants, a, b, pa, pb } = pair({ frames: 8 });
    for (let page = 0; page < 100; page++)
      (page % 2 ? a : b).writeWord(page % 2 ? pa : pb, page, page + 1);
    for (let page = 0; page < 100; page++) expect(a.readWord(pa, page)).toBe(page + 1);
    for (const guest of [a, b]) guest.end();
    const c = new PoolGuest({ grants, calls });
    const pc = c.opened('p', { window });
    for (let page = 0; page < 100; page++) expect(c.readWord(pc, page)).toBe(page + 1);
    c.end();
  });

  test('frames that are all held: NOBUFS, and later again', () => {
    const { a, pa, b } = pair({ frames: 8 });
    for (let page = 0; page < 8; page++) a.pin(pa, page, 'write');
    expect(a.tryPin(pa, 8, WRITE)).toBe(ERRNO.NOBUFS);
    expect(a.unpin(pa, 0)).toBe(0);
    expect(a.tryPin(pa, 8, WRITE)).toBe(0);
    for (const guest of [a, b]) guest.end();
  });

  test('pinned pages stand again in another process, with what is in them now', async () => {
    const { grants, a, b, pa, pb } = pair();
    for (let page = 0; page < 6; page++) a.writeWord(pa, page, 10 + page);
    const same = a.pin(pa, 1).byteOffset;
    const changed = a.pin(pa, 2).byteOffset;
    const mine = a.pin(pa, 3, 'write').byteOffset;
    setWords(a.at(mine), 333);
    const lost = a.pin(pa, 4, 'write').byteOffset;
    setWords(a.at(lost), 444);
    const c = await restarted(
      a,
      grants,
      () => {
        b.writeWord(pb, 2, 52);
        b.writeWord(pb, 4, 54);
      },
      calls,
    );
    const word = (address: number) => Buffer.from(c.at(address)).readUInt32LE(PAGE - 4);
    expect([same, changed, mine, lost].map(word)).toEqual([11, 52, 333, 54]);
    expect([1, 2, 3, 4].map((page) => c.changed(pa, page))).toEqual([false, true, false, true]);
    expect([1, 2, 3, 4].map((page) => c.changed(pa, page))).toEqual([false, false, false, false]);
    expect(c.facts(pa).changes).toBe(2n);
    // Nobody saw what is not published, and it still can be.
    expect(b.readWord(pb, 5)).toBe(15);
    expect(b.tryPin(pb, 3, WRITE | NO_WAIT)).toBe(ERRNO.AGAIN);
    expect(c.unpin(pa, 3, true)).toBe(0);
    expect(b.readWord(pb, 3)).toBe(333);
    // Changes to what others changed meanwhile are refused, and nothing of them is seen.
    expect(c.tryPin(pa, 4, WRITE)).toBe(ERRNO.STALE);
    expect(c.unpin(pa, 4, true)).toBe(ERRNO.STALE);
    expect(b.readWord(pb, 4)).toBe(54);
    expect([1, 2].map((page) => c.unpin(pa, page))).toEqual([0, 0]);
    c.writeWord(pa, 4, 64);
    expect(b.readWord(pb, 4)).toBe(64);
    for (const guest of [b, c]) guest.end();
  });

  test.each([8, 200])(
    'the pool may have another size after a restart: %i frames',
    async (frames) => {
      const { grants, a, b, pa } = pair({ frames: 16 });
      const pinned = [3, 7, 11, 12, 13, 14].map((page) => {
        a.writeWord(pa, page, page);
        return [page, a.pin(pa, page, page % 2 ? 'read' : 'write').byteOffset] as const;
      });
      b.end();
      const c = await restarted(a, [{ ...grants[0]!, frames }], undefined, calls);
      expect(c.facts(pa).frames).toBe(frames);
      for (const [page, at] of pinned) {
        expect(Buffer.from(c.at(at)).readUInt32LE(0)).toBe(page);
        expect(c.changed(pa, page)).toBe(false);
        expect(c.unpin(pa, page, page % 2 === 0)).toBe(0);
      }
      for (const [page] of pinned) expect(c.readWord(pa, page)).toBe(page);
      c.end();
    },
  );
});

describe('a guest that asks for what there is not', () => {
  const grants = [grantOf(newFile()), grantOf(newFile(), { name: 'ro', readOnly: true })];

  test('wrong arguments are answered with an errno', () => {
    const guest = new PoolGuest({ grants });
    expect(guest.open('none')).toBe(ERRNO.NOENT);
    expect(guest.open('p', { slots: 0 })).toBe(ERRNO.INVAL);
    expect(guest.open('p', { slots: 1000 })).toBe(ERRNO.FAULT);
    expect(guest.open('p', { slots: 2 ** 31 })).toBe(ERRNO.INVAL);
    expect(guest.open('p', { at: SLOTS_AT + 8 })).toBe(ERRNO.INVAL);
    expect(guest.open('p', { at: -PAGE })).toBe(ERRNO.FAULT);
    expect(guest.call('open', -1, 5, PAGE, SLOTS_AT, 1, 0, 0)).toBe(ERRNO.FAULT);
    expect(guest.call('open', 64, 1, PAGE, SLOTS_AT, 1, 0, -2)).toBe(ERRNO.FAULT);
    expect(guest.call('open', 64, 1, 2 * PAGE, SLOTS_AT, 1, 0, 0)).toBe(ERRNO.INVAL);
    expect(guest.call('open', 64, 1, PAGE, SLOTS_AT, 1, 2, 0)).toBe(ERRNO.INVAL);
    expect(guest.call('open', 0, 65_536, PAGE, SLOTS_AT, 1, 0, 0)).toBe(ERRNO.NAMETOOLONG);
    const pool = guest.opened('p');
    expect(guest.open('p')).toBe(ERRNO.EXIST);
    expect(guest.tryPin(pool, 1000)).toBe(ERRNO.FBIG);
    expect(guest.tryPin(pool, -1)).toBe(ERRNO.FBIG);
    expect(guest.tryPin(pool, 1, 4)).toBe(ERRNO.INVAL);
    expect(guest.call('pin', pool, 1, 0, -4)).toBe(ERRNO.FAULT);
    expect(guest.unpin(pool, 1)).toBe(ERRNO.INVAL);
    guest.pin(pool, 1);
    expect(guest.unpin(pool, 1, true)).toBe(ERRNO.PERM);
    expect(guest.close(pool)).toBe(ERRNO.BUSY);
    expect(guest.unpin(pool, 1)).toBe(0);
    expect(guest.unpin(pool, 1)).toBe(ERRNO.INVAL);
    expect(guest.close(pool)).toBe(0);
    for (const name of ['close', 'flush', 'pin', 'unpin', 'changed', 'version', 'facts']) {
      for (const number of [pool, 99, -1])
        expect(guest.call(name, number, 0, 0, 0)).toBe(ERRNO.BADF);
    }
    expect(guest.call('open')).toBe(ERRNO.NOENT);
    guest.end();
  });

  test('a pool for reading only is not written', () => {
    const writer = new PoolGuest({ grants: [{ ...grants[1]!, readOnly: false }] });
    writer.writeWord(writer.opened('ro'), 1, 5);
    const guest = new PoolGuest({ grants });
    const pool = guest.opened('ro');
    expect(guest.readWord(pool, 1)).toBe(5);
    expect(guest.tryPin(pool, 1, WRITE)).toBe(ERRNO.ROFS);
    expect(guest.facts(pool).flags).toBe(2);
    expect(guest.open('ro', { window: true, at: 2 * SLOTS_AT })).toBe(ERRNO.NOTSUP);
    for (const one of [guest, writer]) one.end();
  });

  test('64 guests have a pool open, and not one more', () => {
    const many = [grantOf(newFile(), { frames: 8 })];
    const guests = Array.from({ length: 64 }, () => new PoolGuest({ grants: many }));
    for (const guest of guests) guest.opened('p');
    const last = new PoolGuest({ grants: many });
    expect(last.open('p')).toBe(ERRNO.NFILE);
    guests[40]!.end();
    last.writeWord(last.opened('p'), 1, 7);
    expect(guests[63]!.readWord(0, 1)).toBe(7);
    for (const guest of [...guests, last]) guest.end();
  });

  test('a page file that is replaced while it is open has frames of its own', () => {
    const [path, other] = [newFile(), newFile()];
    const [mine, its] = [[grantOf(path)], [grantOf(other)]];
    const before = new PoolGuest({ grants: its });
    before.writeWord(before.opened('p'), 1, 2);
    before.end();
    const old = new PoolGuest({ grants: mine });
    const pool = old.opened('p');
    old.writeWord(pool, 1, 1);
    renameSync(other, path);
    const [fresh, later] = [new PoolGuest({ grants: mine }), new PoolGuest({ grants: mine })];
    expect(fresh.readWord(fresh.opened('p'), 1)).toBe(2);
    expect(old.readWord(pool, 1)).toBe(1);
    old.end();
    fresh.writeWord(0, 1, 3);
    expect(later.readWord(later.opened('p'), 1)).toBe(3);
    for (const guest of [fresh, later]) guest.end();
  });

  test('an image that makes no sense is refused, and nothing stays open', async () => {
    const own = [grantOf(newFile())];
    const guest = new PoolGuest({ grants: own });
    const pool = guest.opened('p');
    guest.pin(pool, 3, 'write');
    guest.pin(pool, 4);
    const { states, memory } = await guest.capture();
    type State = { pins: Record<string, unknown>[] } & Record<string, unknown>;
    const spoiled: [string, (state: State) => void][] = [
      ['ERR_MALFORMED_IMAGE', (state) => (state['address'] = 100)],
      ['ERR_MALFORMED_IMAGE', (state) => (state['address'] = 2 ** 40)],
      ['ERR_MALFORMED_IMAGE', (state) => (state['slots'] = 1)],
      ['ERR_MALFORMED_IMAGE', (state) => (state['number'] = 16)],
      ['ERR_MALFORMED_IMAGE', (state) => (state.pins[0]!['slot'] = 1)],
      ['ERR_MALFORMED_IMAGE', (state) => (state.pins[0]!['page'] = 4)],
      ['ERR_MALFORMED_IMAGE', (state) => (state.pins[1]!['dirty'] = true)],
      ['ERR_MALFORMED_IMAGE', (state) => (state.pins[1]!['holds'] = 0)],
      ['ERR_RESOURCE_NOT_GRANTED', (state) => (state.pins[1]!['page'] = 5000)],
      ['ERR_RESOURCE_NOT_GRANTED', (state) => (state['name'] = 'q')],
      ['ERR_RESOURCE_CHANGED', (state) => (state['pageBytes'] = 1024)],
      ['ERR_RESOURCE_CHANGED', (state) => (state['id'] = new Uint8Array(16))],
    ];
    for (const [code, spoil] of spoiled) {
      const state = structuredClone(states[0]!.state) as unknown as State[];
      spoil(state[0]!);
      const next = new PoolGuest({ grants: own, memory });
      const image = [{ ...states[0]!, state: state as unknown as CborValue }];
      await expect(next.goOn(image, 'restarted'), String(spoil)).rejects.toMatchObject({ code });
      expect(next.open('p')).toBe(0);
      next.end();
    }
    const good = new PoolGuest({ grants: own, memory });
    await good.goOn(states, 'restarted');
    expect(good.facts(pool).pinned).toBe(2);
    good.end();
  });

  test('a pin counts as often as it was made', () => {
    const guest = new PoolGuest({ grants });
    const pool = guest.opened('p', { slots: 2 });
    const at = guest.pin(pool, 8).byteOffset;
    expect(guest.pin(pool, 8, 'write').byteOffset).toBe(at);
    setWords(guest.at(at), 88);
    expect(guest.unpin(pool, 8, true)).toBe(0);
    expect(guest.version(pool, 8)).toBe(0n);
    guest.pin(pool, 9);
    expect(guest.tryPin(pool, 10)).toBe(ERRNO.NOBUFS);
    expect(guest.unpin(pool, 8)).toBe(0);
    expect(guest.version(pool, 8)).toBe(1n);
    expect(guest.readWord(pool, 8)).toBe(88);
    guest.end();
  });
});

test.runIf(canShow)('a window is private memory of zeros once it is closed', () => {
  const grants = [grantOf(newFile())];
  const [a, b] = [new PoolGuest({ grants }), new PoolGuest({ grants })];
  const [pa, pb] = [a.opened('p', { window: true }), b.opened('p', { window: true })];
  const at = a.pin(pa, 1, 'write').byteOffset;
  setWords(a.at(at), 1);
  expect(a.unpin(pa, 1, true)).toBe(0);
  const there = b.pin(pb, 1).byteOffset;
  expect(Buffer.from(b.at(there)).readUInt32LE(0)).toBe(1);
  expect(a.close(pa)).toBe(0);
  expect(a.memory.bytes.subarray(SLOTS_AT, SLOTS_AT + 8 * PAGE).every((byte) => byte === 0)).toBe(
    true,
  );
  setWords(a.at(at), 99);
  expect(Buffer.from(b.at(there)).readUInt32LE(0)).toBe(1);
  b.end();
  a.end();
});

test.runIf(canShow)('a window stays where it is when the memory grows', () => {
  const grants = [grantOf(newFile())];
  const [a, b] = [new PoolGuest({ grants }), new PoolGuest({ grants })];
  const [pa, pb] = [a.opened('p', { window: true }), b.opened('p', { window: true })];
  const at = a.pin(pa, 1, 'write').byteOffset;
  a.grow(3);
  setWords(a.at(at), 5);
  expect(a.unpin(pa, 1, true)).toBe(0);
  expect(b.readWord(pb, 1)).toBe(5);
  for (let page = 20; page < 40; page++) b.writeWord(pb, page, page);
  for (let page = 20; page < 40; page++) expect(a.readWord(pa, page)).toBe(page);
  for (const guest of [a, b]) guest.end();
});
