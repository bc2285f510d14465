/** What a guest's run reaches of the thread and the process that it is in. */
import type { NativeDescriptors } from '../handle/native-descriptors.ts';
import type { Clock } from '../resource/clock.ts';
import type { RandomSource } from '../resource/random.ts';
import type { CellMessage, SealedMessage } from './protocol.ts';
import type { Introduction } from './remote-twins.ts';
import type { SharedControl } from './shared-control.ts';
import type { ThreadBuffer } from './thread.ts';
import type { TwinSource } from './twin-orders.ts';
import type { WriteWatch } from './write-watch.ts';

/** What the guest thread is given to work with. */
export interface GuestWorld {
  readonly shared: SharedControl;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Milliseconds on a clock that does not go back. */
  readonly nowMs: () => number;
  /** Sends to the host; the attachments are given away. */
  readonly report: (message: CellMessage, attachments?: readonly Uint8Array<ArrayBuffer>[]) => void;
  /** Tells the main thread that input is wanted. */
  readonly wishStdin: () => void;
  /** Null: input comes through the main thread, and there are no sockets. */
  readonly native: NativeDescriptors | null;
  /** The kernel's book of what is written, where it keeps one. */
  readonly writeWatch?: () => WriteWatch | null;
  /** What became of an image. */
  readonly sealed: (image: number) => Promise<SealedMessage>;
  /** A buffer for the next capture's pages, when one came back. */
  readonly spareBuffer: () => Pick<ThreadBuffer, 'buffer' | 'image'> | undefined;
  /** Asks for one of that size; it comes while the guest runs. When absent, none comes. */
  readonly wishBuffer?: (bytes: number) => void;
  /** Another thread that makes twins; when absent, this one does. */
  readonly twins?: (introduction: Introduction) => TwinSource;
}
