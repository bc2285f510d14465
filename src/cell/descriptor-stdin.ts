/**
 * Standard input that the guest thread reads itself, when the guest asks, and not a byte further.
 *
 * So what the guest did not ask for stays where it is: for a restored guest that is given the same pipe
 * or file, and for whoever shares it. Without a way to wait for a descriptor, `shared-stdin.ts` takes
 * the place of this.
 *
 * A read must not block, or the next safepoint waits for input. The host opens pipes and terminals
 * a second time for this process, non-blocking; sockets are asked not to block at each read; anything
 * else is looked at before it is read, which another reader of the same thing can make vain.
 */
import { fstatSync, readSync } from 'node:fs';
import { isatty } from 'node:tty';
import { ERRNO, errnoOf } from '../abi/errno.ts';
import type { StdinPosition, StdinSource } from '../handle/grants.ts';
import type { NativeDescriptors } from '../handle/native-descriptors.ts';
import type { GuestStream } from './protocol.ts';

export interface DescriptorStdin extends StdinSource {
  readonly hostFd: number;
}

/** `isOwn`: opened for this process, and doesn't block. */
export function createDescriptorStdin(
  { fd, isOwn }: GuestStream,
  native: NativeDescriptors,
): DescriptorStdin {
  const stats = fstatSync(fd, { bigint: true });
  const isFile = stats.isFile();
  const isSocket = stats.isSocket();

  function readNow(into: Uint8Array): number {
    if (isSocket) return native.receive(fd, into, false);
    const mayBlock = !isOwn && !isFile;
    if (mayBlock && !native.poll([{ hostFd: fd, read: true, write: false }], 0n)[0]!.read) {
      return -ERRNO.AGAIN;
    }
    try {
      return readSync(fd, into, 0, into.length, null);
    } catch (error) {
      return -errnoOf(error);
    }
  }

  return {
    hostFd: fd,
    isTerminal: isatty(fd),
    read: (into) => {
      const read = readNow(into);
      if (read > 0) return read;
      if (read === 0) return 'end';
      return read === -ERRNO.AGAIN || read === -ERRNO.INTR ? 'empty' : 'failed';
    },
    position: () => {
      if (!isFile) return null;
      const offsetBytes = native.offset(fd);
      return offsetBytes === null ? null : { ...identityOf(stats), offsetBytes };
    },
    moveTo: (position) => {
      const { dev, ino, birthtimeNs } = identityOf(stats);
      const isSame =
        isFile &&
        dev === position.dev &&
        ino === position.ino &&
        birthtimeNs === position.birthtimeNs;
      if (isSame) native.moveTo(fd, position.offsetBytes);
    },
  };
}

function identityOf({
  dev,
  ino,
  birthtimeNs,
}: {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly birthtimeNs: bigint;
}): Omit<StdinPosition, 'offsetBytes'> {
  return { dev, ino, birthtimeNs };
}
