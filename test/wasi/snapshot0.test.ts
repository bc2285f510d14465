/** Programs built for `wasi_unstable`: three structures and one enumeration differ. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { createPreview1, createSnapshot0 } from '../../src/wasi/preview1.ts';
import { AT, createHost, type Guest, type Host, removeHost, startGuest } from './harness.ts';

let host: Host;
let guest: Guest;
let old: Guest['calls'];

beforeEach(() => {
  host = createHost();
  guest = startGuest(host);
  old = createSnapshot0(guest.environment);
});

afterEach(() => {
  guest.resources.close();
  removeHost(host);
});

test('has the calls of preview1 but one', () => {
  const names = Object.keys(createPreview1(guest.environment));
  expect(names.length).toBe(46);
  expect(Object.keys(old)).toEqual(names.filter((name) => name !== 'sock_accept'));
});

test('fd_seek counts from there with 0, from the end with 1, from the start with 2', () => {
  writeFileSync(join(host.dir, 'file'), '0123456789');
  const fd = guest.open('file');
  const seek = (offset: bigint, whence: number) => {
    expect(old['fd_seek']!(fd, offset, whence, AT.result)).toBe(0);
    return guest.u64();
  };
  expect(seek(4n, 2)).toBe(4n);
  expect(seek(3n, 0)).toBe(7n);
  expect(seek(-1n, 1)).toBe(9n);
  expect(old['fd_seek']!(fd, 0n, 3, AT.result)).toBe(ERRNO.INVAL);
});

test('a filestat has 56 bytes, and nothing is written behind them', () => {
  const path = join(host.dir, 'file');
  writeFileSync(path, '0123456789');
  const stats = statSync(path, { bigint: true });
  const { memory } = guest;
  const length = guest.put(AT.path, 'file');
  const fd = guest.open('file');
  for (const get of [
    () => old['path_filestat_get']!(3, 0, AT.path, length, AT.data),
    () => old['fd_filestat_get']!(fd, AT.data),
  ]) {
    memory.bytes.fill(0xff, AT.data, AT.data + 64);
    expect(get()).toBe(0);
    expect(guest.u64(AT.data)).toBe(stats.dev);
    expect(guest.u64(AT.data + 8)).toBe(stats.ino);
    expect(guest.u32(AT.data + 16)).toBe(4);
    expect(guest.u32(AT.data + 20)).toBe(1);
    expect(guest.u64(AT.data + 24)).toBe(10n);
    expect(guest.u64(AT.data + 32)).toBe(stats.atimeNs);
    expect(guest.u64(AT.data + 40)).toBe(stats.mtimeNs);
    expect(guest.u64(AT.data + 48)).toBe(stats.ctimeNs);
    expect(guest.u64(AT.data + 56)).toBe(2n ** 64n - 1n);
  }
  // The very end of memory has room for 56 bytes.
  expect(old['fd_filestat_get']!(fd, memory.bytes.length - 56)).toBe(0);
  expect(old['fd_filestat_get']!(fd, memory.bytes.length - 55)).toBe(ERRNO.FAULT);
});

test('a subscription has 56 bytes, with the clock behind an identifier', () => {
  const { view, bytes } = guest.memory;
  bytes.fill(0xee, AT.data, AT.data + 112);
  view.setBigUint64(AT.data, 7n, true);
  view.setUint8(AT.data + 8, 0);
  view.setUint32(AT.data + 24, 1, true);
  view.setBigUint64(AT.data + 32, 1000n, true);
  view.setUint16(AT.data + 48, 0, true);
  view.setBigUint64(AT.data + 56, 8n, true);
  view.setUint8(AT.data + 64, 2);
  view.setUint32(AT.data + 72, 1, true);
  const out = AT.data + 0x1000;
  // Stdout can be written to at once; the clock alone is waited for.
  expect(old['poll_oneoff']!(AT.data, out, 2, AT.result)).toBe(0);
  expect(guest.u32()).toBe(1);
  expect(guest.u64(out)).toBe(8n);
  const before = host.clock.monotonicNs;
  expect(old['poll_oneoff']!(AT.data, out, 1, AT.result)).toBe(0);
  expect(guest.u32()).toBe(1);
  expect(guest.u64(out)).toBe(7n);
  expect(host.clock.monotonicNs - before).toBe(1000n);
});
