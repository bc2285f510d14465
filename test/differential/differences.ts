/**
 * Where another layer answers otherwise than ours, step by step: what it answers and why. The test
 * holds this against what is observed: a difference that is not here fails, and so does one that is
 * here and is gone.
 *
 * Answers are an errno and what else the step sees; errnos of ours are in the test's first half.
 */
import type { LayerName } from './layers.ts';

/** Layer, what it answers, why. */
export type Difference = readonly [layer: LayerName, sees: string, why: string];

export const DIFFERENCES: Readonly<
  Record<string, Readonly<Record<string, readonly Difference[]>>>
> = {
  'write, seek, read': {
    'close again': [['wasmer', '0', 'closing what is closed succeeds']],
  },
  'overwrite in the middle': {
    'the whole': [['wasmer', '0 heXYllo world', 'writing inserts: what was there moves behind it']],
    'the whole then': [
      ['wasmer', '0 PWheXYllo world', 'writing inserts: what was there moves behind it'],
    ],
  },
  'beyond the end': {
    'the gap is zeros': [['wasmer', '0 abz', 'a write beyond the end is put at the end']],
    'seek before the start': [['wasmer', '0 18446744073709551615', 'offsets wrap round zero']],
    'pread at -1': [
      ['wasmer', '29', 'the offset is only looked at in the file'],
      ['bjorn3', '0 ', 'a negative offset reads nothing'],
    ],
    'size then': [
      ['wasmer', '0 4 3', 'the size that is told does not count what was written at an offset'],
    ],
  },
  'a whence that there is not': {
    seek: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in fd_seek: unreachable',
        'it takes any number for a known one, and gives up',
      ],
    ],
  },
  append: {
    'tell then': [
      ['wasmer', '0 3', 'a file that is appended to keeps its offset and reads as empty'],
      ['bjorn3', '0 3', 'appending is not known: the write lands at the offset'],
    ],
    'the whole': [
      ['wasmer', '0 ', 'a file that is appended to keeps its offset and reads as empty'],
      ['bjorn3', '0 two', 'appending is not known: the write lands at the offset'],
    ],
    'flags told': [
      ['node', '0 4 flags 2 and others', "the host's own flags come through untranslated"],
      ['bjorn3', '0 4 flags 0 ', 'flags are neither kept nor set (NOTSUP)'],
    ],
    'flags then': [
      ['node', '0 4 flags 2 and others', "the host's own flags come through untranslated"],
    ],
    'set without': [['bjorn3', '58', 'flags are neither kept nor set (NOTSUP)']],
  },
  sizes: {
    'size stays': [['wasmer', '0 4 2', 'allocating sets the size, and cuts']],
    'allocate nothing': [
      ['wasmer', '0', 'a length of 0 is let through'],
      ['node', '0', 'a length of 0 is let through'],
      ['bjorn3', '0', 'a length of 0 is let through'],
    ],
    'set size of the directory': [
      ['wasmer', '31', 'it says that it is a directory'],
      ['node', '76', 'directories lack that right'],
    ],
  },
  numbers: {
    'the next': [
      [
        'wasmer',
        '0 1 28',
        'the directory itself can neither be opened anew nor closed; numbers are counted up and never used again',
      ],
    ],
    'the next again': [
      [
        'wasmer',
        '0 2 28',
        'the directory itself can neither be opened anew nor closed; numbers are counted up and never used again',
      ],
      ['bjorn3', '0 2 0', 'numbers are counted up and never used again'],
    ],
    'one later': [
      [
        'wasmer',
        '0 4 28',
        'the directory itself can neither be opened anew nor closed; numbers are counted up and never used again',
      ],
      ['bjorn3', '0 4 0', 'numbers are counted up and never used again'],
    ],
    '0 is closed': [['wasmer', '0 2 flags 0 ', 'a closed stream still tells its kind']],
    'what 0 is now': [
      [
        'wasmer',
        '0 2 flags 0 ',
        'a closed stream still tells its kind; its number is not used again',
      ],
      ['node', '0 3 flags 0 and others', "the host's own flags come through untranslated"],
      ['bjorn3', '8', 'numbers are counted up and never used again'],
    ],
  },
  renumber: {
    'still open': [
      ['wasmer', '8', 'renumbering onto itself closes'],
      ['bjorn3', '8', 'renumbering onto itself closes'],
    ],
  },
  directories: {
    'make again': [
      ['wasmer', '0', 'a directory that is there already is made again'],
      ['bjorn3', '0', 'a directory that is there already is made again'],
    ],
    'make without a parent': [['wasmer', '0', 'directories above are made as well']],
  },
  'reading a directory': {
    'read it as a file': [
      ['wasmer', '31', 'it says that it is a directory'],
      ['node', '76', 'directories lack that right'],
    ],
    'write it as a file': [
      ['wasmer', '31', 'it says that it is a directory'],
      ['node', '76', 'directories lack that right'],
    ],
    'seek it': [
      ['wasmer', '0 0', 'a directory can be sought'],
      ['node', '76', 'directories lack that right'],
    ],
    all: [['node', '0 50 a d', 'the directory itself and the one above are left out']],
    'into few bytes': [['node', '0 30 a', 'the directory itself and the one above are left out']],
    'of a file': [
      ['node', '76', 'files lack that right'],
      ['bjorn3', '58', 'what a kind of file can not do is not supported (NOTSUP)'],
    ],
  },
  rename: {
    'f to g': [['wasmer', '28', 'a file can not be renamed while it is open']],
    'f is gone': [['wasmer', '0 4 1', 'the rename before was refused']],
    'g is there': [['wasmer', '44', 'the rename before was refused']],
    'g over h': [['wasmer', '44', 'the rename before was refused']],
    'h is g': [['wasmer', '0 4 0', 'the rename before was refused']],
    'h to itself': [['wasmer', '28', 'a file can not be renamed while it is open']],
    'a directory over a full one': [['wasmer', '0', 'a full directory is replaced']],
    'a directory over a file': [['wasmer', '44', 'it is looked for below the file']],
    'a file over a directory': [['wasmer', '28', 'a file can not be renamed while it is open']],
    'into itself': [
      ['wasmer', '0', 'a directory is moved into itself, and is gone'],
      [
        'bjorn3',
        '44',
        'the directory is taken out of the tree first, and then its new place is not found',
      ],
    ],
  },
  'hard links': {
    'link again': [['bjorn3', '0', 'a name that is there is replaced']],
    'links told': [['bjorn3', '0 4 0 links an inode', 'links are not counted']],
  },
  'symbolic links': {
    'its own kind': [
      ['wasmer', '28', 'a link is not followed, and its own kind is not known'],
      ['bjorn3', '44', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'followed kind': [
      ['wasmer', '28', 'a link is not followed, and its own kind is not known'],
      ['bjorn3', '44', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'open without following': [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in path_open: unreachable',
        'opening a link gives up',
      ],
      ['node', '0', 'a link is followed all the same'],
      ['bjorn3', '44', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'an absolute one': [
      ['node', '63', 'the host says that it is not permitted'],
      ['bjorn3', '58', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'follow it out': [
      ['node', '44', 'the link was refused before'],
      ['bjorn3', '44', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    link: [
      ['bjorn3', '58', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'link again': [
      ['bjorn3', '58', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'read it': [
      ['bjorn3', '58', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'read what is no link': [
      ['bjorn3', '58', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'open following': [
      ['bjorn3', '44', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'one that leads out': [
      ['bjorn3', '58', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
    'unlink it': [
      ['bjorn3', '44', 'there are no symbolic links (NOTSUP), and what would be one is not there'],
    ],
  },
  paths: {
    absolute: [['wasmer', '44', 'the path is looked for below the directory']],
    empty: [
      ['wasmer', '0', 'an empty path is the directory'],
      ['node', '28', 'an empty path is a wrong argument'],
      ['bjorn3', '0', 'an empty path is the directory'],
    ],
    'a file with a slash': [['wasmer', '0 4 0', 'a slash at the end is left out']],
    'a NUL': [['wasmer', '44', 'it is a letter like others']],
    'a name of 300 bytes': [
      ['wasmer', '0', 'names have no limit'],
      ['bjorn3', '0', 'names have no limit'],
    ],
    'out of the directory': [
      ['node', '44', 'the root of the guest has no above: it leads to the root again'],
    ],
    'out and in again': [['bjorn3', '76', 'a path is judged by its words, not by walking']],
  },
  'open flags': {
    'is empty': [['wasmer', '0 4 3', 'the size that is told after truncating is the old one']],
    'a directory, to write': [
      ['wasmer', '0', 'a directory is opened for writing'],
      ['bjorn3', '0', 'a directory is opened for writing'],
    ],
    'a directory, created': [
      ['wasmer', '0', 'a directory is opened for writing'],
      ['bjorn3', '0', 'a directory is opened for writing'],
    ],
    'below a file number': [
      ['wasmer', '28', 'that it is no directory is told as a wrong argument'],
      ['node', '76', 'files lack that right'],
    ],
  },
  rights: {
    'write it': [
      ['wasmer', '0 1', 'a right that was not asked for is not missed'],
      ['node', '76', 'a missing right is NOTCAPABLE where files of POSIX say BADF'],
      ['bjorn3', '0 1', 'rights are not looked at, nor can they be dropped (NOTSUP)'],
    ],
    'read that': [
      ['wasmer', '63', 'a missing right is not permitted (PERM), or no access (ACCES)'],
      ['node', '76', 'a missing right is NOTCAPABLE where files of POSIX say BADF'],
      ['bjorn3', '0 xbc', 'rights are not looked at'],
    ],
    'write now': [
      ['wasmer', '2', 'a missing right is not permitted (PERM), or no access (ACCES)'],
      ['node', '76', 'a missing right is NOTCAPABLE where files of POSIX say BADF'],
      ['bjorn3', '0 1', 'rights are not looked at, nor can they be dropped (NOTSUP)'],
    ],
    'seek that': [['node', '76', 'the right to seek was not asked for']],
    'read it': [['bjorn3', '0 bc', 'the write before was let through, and moved the offset']],
    'drop to reading': [
      ['bjorn3', '58', 'rights are not looked at, nor can they be dropped (NOTSUP)'],
    ],
    'take more again': [
      ['bjorn3', '58', 'rights are not looked at, nor can they be dropped (NOTSUP)'],
    ],
  },
  streams: {
    'kind of 0': [
      ['wasmer', '0 2 flags 0 ', 'streams are character devices, whatever they are'],
      [
        'node',
        '0 4 flags 0 and others',
        "the input and output are the host's files, and told as such, flags too",
      ],
      ['bjorn3', '0 4 flags 0 ', 'the input is a file in memory'],
    ],
    'kind of 1': [
      ['wasmer', '0 2 flags 1 ', 'streams are character devices, whatever they are'],
      [
        'node',
        '0 4 flags 1 and others',
        "the input and output are the host's files, and told as such, flags too",
      ],
      ['bjorn3', '0 2 flags 0 ', 'the output is a character device'],
    ],
    'write 0': [
      ['wasmer', '28', 'the wrong direction is told as a wrong argument'],
      ['bjorn3', '0 1', 'the input is a file in memory'],
    ],
    'read 1': [
      ['wasmer', '28', 'the wrong direction is told as a wrong argument'],
      ['bjorn3', '58', 'what a kind of file can not do is not supported (NOTSUP)'],
    ],
    'seek 1': [
      ['wasmer', '2', 'a stream can not be sought for lack of a right (ACCES)'],
      ['node', '0 4', "the output is the host's file"],
      ['bjorn3', '58', 'what a kind of file can not do is not supported (NOTSUP)'],
    ],
    'tell 1': [
      ['wasmer', '2', 'a stream can not be sought for lack of a right (ACCES)'],
      ['node', '0 4', "the output is the host's file"],
      ['bjorn3', '58', 'what a kind of file can not do is not supported (NOTSUP)'],
    ],
    'pwrite 1': [
      ['wasmer', '0 1', 'the offset is left out on a stream'],
      ['node', '0 1', "the output is the host's file"],
      ['bjorn3', '58', 'what a kind of file can not do is not supported (NOTSUP)'],
    ],
    'prestat of 1': [
      [
        'wasmer',
        '0 54 ␀␀␀␀',
        'a stream is a granted thing as well, without a name that can be told',
      ],
      ['node', '28', 'what is not granted is a wrong argument'],
      ['bjorn3', '58', 'what a kind of file can not do is not supported (NOTSUP)'],
    ],
    'stat 1': [
      ['wasmer', '0 2 1 links an inode', 'streams have an inode of their own'],
      ['node', '0 4 1 links an inode', "the output is the host's file"],
      ['bjorn3', '0 2 0 links an inode', 'the output has an inode of its own'],
    ],
  },
  input: {
    'seek it': [
      ['wasmer', '2', 'a stream can not be sought for lack of a right (ACCES)'],
      ['node', '0 18', "the input is the host's file"],
      ['bjorn3', '0 18', 'the input is a file in memory'],
    ],
    'pread it': [
      ['wasmer', '0 ', 'the offset is left out on a stream, and this read does not wait'],
      ['node', '0 g', "the input is the host's file"],
      ['bjorn3', '0 g', 'the input is a file in memory'],
    ],
  },
  'the directory': {
    prestat: [['wasmer', '0 0 .', 'the root is granted as `.`']],
    'prestat of another': [
      ['wasmer', '0 0 .', 'the directory opened anew is the granted one'],
      ['node', '28', 'what is not granted is a wrong argument'],
      ['bjorn3', '58', 'what is not granted is not supported (NOTSUP)'],
    ],
    'name into too little': [
      ['wasmer', '61', 'OVERFLOW where others say NAMETOOLONG'],
      ['node', '42', 'NOBUFS where others say NAMETOOLONG'],
    ],
    close: [['wasmer', '28', 'the granted directory can not be closed']],
    'open below it, closed': [['wasmer', '0', 'the granted directory can not be closed']],
    kind: [['node', '0 3 flags 0 and others', "the host's own flags come through untranslated"]],
  },
  flags: {
    'one that there is not': [
      ['wasmer', '0', 'unknown flags are taken'],
      ['node', '0', 'unknown flags are taken'],
      ['bjorn3', '58', 'flags are neither kept nor set (NOTSUP)'],
    ],
    told: [
      ['node', '0 4 flags 2 and others', "the host's own flags come through untranslated"],
      ['bjorn3', '0 4 flags 0 ', 'flags are neither kept nor set (NOTSUP)'],
    ],
    'set append and nonblock': [['bjorn3', '58', 'flags are neither kept nor set (NOTSUP)']],
  },
  times: {
    told: [
      [
        'node',
        '0 1000000000 0',
        'times are set in whole seconds; one that is not to be set becomes 0',
      ],
      ['bjorn3', '0 0 0', 'times are neither kept nor set (NOTSUP)'],
    ],
    'told then': [
      [
        'node',
        '0 5000000000 0',
        'times are set in whole seconds; one that is not to be set becomes 0',
      ],
      ['bjorn3', '0 0 0', 'times are neither kept nor set (NOTSUP)'],
    ],
    'set both': [['bjorn3', '58', 'times are neither kept nor set (NOTSUP)']],
    'set one only': [['bjorn3', '58', 'times are neither kept nor set (NOTSUP)']],
    'both and now': [['bjorn3', '58', 'times are neither kept nor set (NOTSUP)']],
  },
  'times by path': {
    told: [
      ['wasmer', '0 0 0', 'times by path are forgotten'],
      ['node', '0 1000000000 2000000000', 'times are set in whole seconds'],
      ['bjorn3', '0 0 0', 'times are neither kept nor set (NOTSUP)'],
    ],
    set: [['bjorn3', '58', 'times are neither kept nor set (NOTSUP)']],
    'of what is not there': [['bjorn3', '58', 'times are neither kept nor set (NOTSUP)']],
  },
  clocks: {
    process: [['bjorn3', '0 nothing', 'processor time is told as 0']],
    thread: [['bjorn3', '0 nothing', 'processor time is told as 0']],
  },
  'a clock that there is not': {
    time: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in clock_time_get: unreachable',
        'it takes any number for a known one, and gives up',
      ],
      ['bjorn3', '0 nothing', 'every other clock is told as 0'],
    ],
  },
  'a resolution that there is not': {
    resolution: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in clock_res_get: unreachable',
        'it takes any number for a known one, and gives up',
      ],
      ['bjorn3', '52', 'an unknown clock is a call that there is not (NOSYS)'],
    ],
  },
  'waiting for nothing': {
    poll: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in poll_oneoff: unreachable',
        'waiting for anything but output gives up',
      ],
    ],
  },
  'waiting for a clock': {
    'a millisecond': [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in poll_oneoff: unreachable',
        'waiting for anything but output gives up',
      ],
      ['bjorn3', '0 0 0 0', 'it waits, and tells of no event'],
    ],
  },
  'waiting for no clock': {
    poll: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in poll_oneoff: unreachable',
        'waiting for anything but output gives up',
      ],
      ['node', '0 1 0 0', 'the clock is not looked at'],
      ['bjorn3', '28', 'the call as a whole is refused, not the one event'],
    ],
  },
  'waiting for output': {
    stdout: [
      ['wasmer', '0 1 0 0', 'the event does not say which kind it is'],
      ['node', '63', 'files can not be waited for (PERM)'],
      ['bjorn3', '58', 'only clocks can be waited for (NOTSUP)'],
    ],
  },
  'waiting for a number': {
    closed: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in poll_oneoff: unreachable',
        'waiting for anything but output gives up',
      ],
      ['node', '0 1 0 0', 'that it is closed is told as a success of the kind clock'],
      ['bjorn3', '58', 'only clocks can be waited for (NOTSUP)'],
    ],
  },
  'waiting for a file': {
    poll: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in poll_oneoff: unreachable',
        'waiting for anything but output gives up',
      ],
      ['node', '63', 'files can not be waited for (PERM)'],
      ['bjorn3', '58', 'only clocks can be waited for (NOTSUP)'],
    ],
  },
  'a deleted file': {
    'and still open': [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in fd_pread: unreachable',
        'the file is gone at once, and reading it gives up',
      ],
    ],
  },
  'making durable': {
    'the directory': [['wasmer', '31', 'a directory can not be made durable']],
    'the output': [
      ['wasmer', '0', 'a stream has nothing to make durable, which is no error'],
      ['node', '0', "the output is the host's file"],
      ['bjorn3', '0', 'there is nothing to make durable, which is no error'],
    ],
    'advise the directory': [
      ['wasmer', '0', 'advice is taken for anything'],
      ['bjorn3', '0', 'advice is taken for anything'],
    ],
  },
  'advice that there is not': {
    advise: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in fd_advise: unreachable',
        'it takes any number for a known one, and gives up',
      ],
      ['bjorn3', '0', 'advice is taken for anything'],
    ],
  },
  strings: {
    arguments: [
      ['bjorn3', '0 0 program␀Ã¤␀ 0 8 11', 'the size of the text counts letters, not bytes'],
    ],
  },
  'a signal that does nothing': {
    CHLD: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in proc_raise: unreachable',
        'signals are not written yet, and give up',
      ],
      ['bjorn3', 'throws raised signal 16', 'a signal is an exception of the host'],
    ],
  },
  'a signal that there is not': {
    raise: [
      [
        'wasmer',
        'throws @wasmer/wasi broke down in proc_raise: unreachable',
        'signals are not written yet, and give up',
      ],
      ['node', '52', 'signals that it does not know are not supported (NOSYS)'],
      ['bjorn3', 'throws raised signal 99', 'a signal is an exception of the host'],
    ],
  },
  sockets: {
    'receive from a file': [
      ['wasmer', '2', 'a missing right is told (ACCES) before the kind'],
      ['node', '76', 'files lack that right'],
      ['bjorn3', 'throws sockets not supported', 'sockets are an exception of the host'],
    ],
    'send to a file': [
      ['wasmer', '2', 'a missing right is told (ACCES) before the kind'],
      ['node', '76', 'files lack that right'],
    ],
  },
  'shutting a file down': {
    shutdown: [
      ['node', '58', 'not supported'],
      ['bjorn3', 'throws sockets not supported', 'sockets are an exception of the host'],
    ],
  },
  accepting: {
    'from a closed number': [
      ['wasmer', 'throws there is no sock_accept', 'the call came later than the package'],
      ['bjorn3', 'throws sockets not supported', 'sockets are an exception of the host'],
    ],
  },
  'a closed number': {
    advise: [['wasmer', '0', 'advice is taken for anything']],
  },
  'out of memory, a clock': {
    time: [
      ['node', '61', 'OVERFLOW where others say FAULT'],
      [
        'bjorn3',
        'throws Offset is outside the bounds of the DataView',
        'a pointer out of memory is an exception of the host',
      ],
    ],
  },
  'out of memory, a stat': {
    stat: [
      ['node', '61', 'OVERFLOW where others say FAULT'],
      [
        'bjorn3',
        'throws Offset is outside the bounds of the DataView',
        'a pointer out of memory is an exception of the host',
      ],
    ],
  },
  'out of memory, the arguments': {
    sizes: [
      ['node', '61', 'OVERFLOW where others say FAULT'],
      [
        'bjorn3',
        'throws Offset is outside the bounds of the DataView',
        'a pointer out of memory is an exception of the host',
      ],
    ],
  },
  'out of memory, randomness': {
    random: [
      ['node', '61', 'OVERFLOW where others say FAULT'],
      ['bjorn3', '0', 'nothing is written, and that is a success'],
    ],
  },
  'out of memory, what was read': {
    read: [
      ['node', '61', 'OVERFLOW where others say FAULT'],
      [
        'bjorn3',
        'throws Offset is outside the bounds of the DataView',
        'a pointer out of memory is an exception of the host',
      ],
    ],
  },
  'out of memory, what to write': {
    write: [
      ['node', '61', 'OVERFLOW where others say FAULT'],
      [
        'bjorn3',
        'throws Offset is outside the bounds of the DataView',
        'a pointer out of memory is an exception of the host',
      ],
    ],
  },
  'out of memory, a path': {
    open: [
      ['node', '61', 'OVERFLOW where others say FAULT'],
      ['bjorn3', '0', 'an empty path is read there, and the directory made again'],
    ],
  },
};
