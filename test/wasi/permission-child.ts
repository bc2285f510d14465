/** Run by `permission.test.ts` under Node's permission model: every kind of call once, as JSON. */
import { ERRNO } from '../../src/abi/errno.ts';
import { FSTFLAGS, OFLAGS } from '../../src/abi/flags.ts';
import { RIGHT } from '../../src/abi/rights.ts';
import { createGuestResources } from '../../src/handle/guest-resources.ts';
import { AT, guestOf, type Host } from './harness.ts';

const dir = process.argv[2] ?? '';
const zero = () => 0n;
const silent = { isTerminal: false, hostFd: null, record: () => ERRNO.SUCCESS, write: () => 0 };
const host = { waits: [], clock: {}, written: {} } as unknown as Host;
const guest = guestOf(
  host,
  createGuestResources({
    preopens: [{ hostPath: dir, guestPath: '/data', readOnly: false }],
    stdin: {
      isTerminal: false,
      read: () => 'end',
      position: () => null,
      moveTo: () => undefined,
    },
    stdout: silent,
    stderr: silent,
    clock: { realtimeNs: zero, monotonicNs: zero, cpuNs: zero, resolutionNs: 1n },
    random: () => undefined,
  }),
);

const { calls } = guest;
const [a, b] = [() => guest.put(AT.path, 'a'), () => guest.put(AT.path2, 'b')];
const fd = guest.open('a', { oflags: OFLAGS.CREAT });
const results: Record<string, unknown> = {
  open: fd,
  write: guest.write(fd, 'abc'),
  sync: calls['fd_datasync']!(fd),
  syncDirectory: calls['fd_sync']!(3),
  flags: calls['fd_fdstat_set_flags']!(fd, 1),
  times: calls['fd_filestat_set_times']!(fd, 0n, 1_000_000_001n, FSTFLAGS.MTIM),
  timesByPath: calls['path_filestat_set_times']!(3, 0, AT.path, a(), 0n, 2n, FSTFLAGS.MTIM),
  link: calls['path_link']!(3, 0, AT.path, a(), 3, AT.path2, b()),
  unlink: guest.onPath('path_unlink_file', 'b'),
  symlink: calls['path_symlink']!(AT.path, a(), 3, AT.path2, b()),
  mkdir: guest.onPath('path_create_directory', 'd'),
  rmdir: guest.onPath('path_remove_directory', 'd'),
  readdir: calls['fd_readdir']!(3, AT.data, 4096, 0n, AT.result),
  stat: calls['path_filestat_get']!(3, 0, AT.path, a(), AT.result),
  size: calls['fd_filestat_set_size']!(fd, 10n),
  allocate: calls['fd_allocate']!(fd, 0n, 20n),
  up: guest.open('../x', { rights: RIGHT.FD_READ }) === -ERRNO.NOTCAPABLE,
};
await guest.resources.quiesce();
await guest.resources.resume('resumed');
results['afterResume'] = guest.write(fd, 'def');
process.stdout.write(JSON.stringify(results));
