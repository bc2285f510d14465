// A journal: the guest appends records to a file of the host. After a restart the file is cut back to
// what it was at the checkpoint, and the guest writes the rest again: no record is lost or doubled.
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { defineProvider, ERRNO, integer, mapOf } from 'stasis/provider';

const RECORD_BYTES_MAX = 4096;

export default function journal({ file }) {
  if (file === undefined)
    throw new Error('the journal needs a file: --provider journal.mjs,file=PATH');
  let guest;
  let fd = null;

  // Appending, and on the disk when a write returns.
  const open = () => {
    fd = openSync(file, 'as');
  };
  const close = () => {
    if (fd !== null) closeSync(fd);
    fd = null;
  };

  return defineProvider({
    kind: 'journal',
    version: 1,
    deadlineMs: 5000,
    // What an image says of the journal. It is checked before `rebuild` sees it.
    shape: mapOf({ bytes: integer(0) }),

    // Before the guest runs, or before `rebuild`.
    attach: (access) => {
      guest = access;
      open();
    },

    // A checkpoint: say what a restart needs to know, then let go.
    prepare: () => ({ bytes: fstatSync(fd).size }),
    commit: close,
    abort: () => {}, // prepare changed nothing
    // After it (`resumed`, or `aborted` when another provider could not let go), and after a restart.
    rebuild: ({ bytes }, { reason }) => {
      if (fd === null) open();
      if (reason === 'resumed' || reason === 'aborted') return;
      const { size } = fstatSync(fd);
      if (size < bytes) throw new Error(`${file} has ${size} bytes and had ${bytes}`);
      ftruncateSync(fd, bytes);
    },
    close,

    // What the guest imports: errno for its mistakes, an exception only for what must end it.
    imports: {
      journal: {
        append: (pointer, length) => {
          if (length >>> 0 > RECORD_BYTES_MAX) return ERRNO.FBIG;
          if (!guest.memory.holds(pointer, length)) return ERRNO.FAULT;
          const start = pointer >>> 0;
          writeSync(fd, guest.memory.bytes.subarray(start, start + (length >>> 0)));
          return ERRNO.SUCCESS;
        },
      },
    },
  });
}
