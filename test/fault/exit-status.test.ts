import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { guestStatus, SIGNAL_NUMBER, signalStatus } from '../../src/fault/exit-status.ts';
import { ioFailure } from '../../src/fault/io-failure.ts';

test('signal numbers are those of this system', () => {
  for (const [name, number] of Object.entries(SIGNAL_NUMBER)) {
    expect(constants.signals[name as NodeJS.Signals], name).toBe(number);
  }
});

test.each([
  ['SIGINT', 130],
  ['SIGKILL', 137],
  ['SIGTERM', 143],
  ['SIGNEW', 137],
  ['toString', 137],
])('a guest ended by %s exits with %i', (signal, status) => {
  expect(signalStatus(signal)).toBe(status);
});

test.each([
  [0, 0],
  [255, 255],
  [256, 0],
  [0xffff_ffff, 255],
])('a guest that exits with %i is seen as %i', (code, status) => {
  expect(guestStatus(code)).toBe(status);
});

test.each([
  ['ENOSPC', 'ERR_DISK_FULL'],
  ['EDQUOT', 'ERR_DISK_FULL'],
  ['EIO', 'ERR_IO'],
])('%s is reported as %s', (system, code) => {
  const failure = ioFailure('write', Object.assign(new Error('x'), { code: system }));
  expect(failure).toMatchObject({ code, facts: { system } });
});

test('a failure without a name is reported all the same', () => {
  expect(ioFailure('write', 'strange')).toMatchObject({ code: 'ERR_IO', facts: { system: null } });
});
