/**
 * Which pages of a memory were written to, as the kernel keeps book of it: userfaultfd in its asynchronous
 * write-protect mode, and PAGEMAP_SCAN.
 *
 *   watch    the range is registered, and all of its pages are write-protected
 *   write    the first one to a page lifts its protection, in the kernel; nobody is asked or told
 *   scan     lists the pages without protection, and protects them again, at once
 *
 * What the kernel itself writes for a process, as `read` does, is kept book of as well. Pages that were never
 * there are protected too, by markers in the page tables.
 *
 *   struct uffdio_api        api u64 0, features u64 8, ioctls u64 16
 *   struct uffdio_register   start u64 0, length u64 8, mode u64 16, ioctls u64 24
 *   struct pm_scan_arg       size 0, flags 8, start 16, end 24, walk end 32, vector 40, its length 48,
 *                            pages at most 56, inverted 64, mask 72, any of 80, returned 88; u64 each
 *   struct page_region       start 0, end 8, categories 16; u64 each
 *
 * Invariants:
 * 1. Whatever is not known to be unwritten counts as written: a range of which a part is no longer registered,
 *    because something else was mapped there, is refused as a whole.
 * 2. The descriptors are opened before a cell is confined: afterwards neither can be. They speak of this
 *    process alone.
 *
 * Source: userfaultfd(2), Documentation/admin-guide/mm/pagemap.rst, include/uapi/linux/{userfaultfd,fs}.h.
 * Linux 6.7 and later.
 */
import { closeSync } from 'node:fs';
import { type NativeLibrary, openNativeLibrary } from './library.ts';

const SYS_USERFAULTFD: Readonly<Record<string, bigint>> = { x64: 323n, arm64: 282n };
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const UFFD_USER_MODE_ONLY = 1;
const UFFD_API = 0xaan;
const FEATURE_PAGEFAULT_FLAG_WP = 1n << 0n;
const FEATURE_WP_UNPOPULATED = 1n << 13n;
const FEATURE_WP_ASYNC = 1n << 15n;
const REGISTER_MODE_WP = 2n;

const UFFDIO_API = 0xc018_aa3fn;
/** The two requests that a confined cell makes (`confine/seccomp-filter.ts`). */
export const UFFDIO_REGISTER = 0xc020_aa00n;
export const PAGEMAP_SCAN = 0xc060_6610n;

const PM_SCAN_WP_MATCHING = 1n;
const PM_SCAN_CHECK_WPASYNC = 2n;
const PAGE_IS_WRITTEN = 2n;
const SCAN_BYTES = 96;
const WALK_END = 4;
const REGION_WORDS = 3;
/** Listed by one call; a scan of more takes several. */
const REGIONS_A_CALL = 1024;

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const NOWHERE = 0n;
const MAP_FAILED = 2n ** 64n - 1n;

const SIGNATURES = {
  syscall: { arguments: ['int64', 'int64'], return: 'int64' },
  open: { arguments: ['string', 'int32'], return: 'int32' },
  ioctl: { arguments: ['int32', 'uint64', 'buffer'], return: 'int32' },
  getpagesize: { arguments: [], return: 'int32' },
  mmap: {
    arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'],
    return: 'pointer',
  },
  munmap: { arguments: ['pointer', 'uint64'], return: 'int32' },
} as const;

type Library = NativeLibrary<typeof SIGNATURES>;

/** Of the process whose memory is watched; any of its threads may use them. */
export interface TrackingFds {
  readonly faults: number;
  readonly pagemap: number;
}

/** Bytes from `from` up to `to`, as offsets in the range that was asked about. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

export interface WriteTracking {
  /** Bytes of a page of memory: what ranges are multiples of. */
  readonly pageBytes: number;
  addressOf(buffer: ArrayBufferLike): bigint;
  /** Begins to keep book of a range. False: refused. */
  watch(address: bigint, lengthBytes: number): boolean;
  /** What was written since `watch` or the last `take`, ascending; null: not known. Anew from here on. */
  take(address: bigint, lengthBytes: number): ByteRange[] | null;
  /** How much `take` would list now, in bytes; null: not known. */
  count(address: bigint, lengthBytes: number): number | null;
}

function openLibrary(): Library | null {
  return openNativeLibrary(
    SIGNATURES,
    ({ functions }) => functions.ioctl(-1, 0n, new Uint8Array(8)) === -1,
  );
}

/**
 * Opens what tracking takes; null where the system has none, or has one that does not do what is said above,
 * which is tried.
 */
export function openTracking(): TrackingFds | null {
  const library = openLibrary();
  const pagemap = library?.functions.open('/proc/self/pagemap', O_CLOEXEC) ?? -1;
  const faults = library === null ? -1 : openFaults(library);
  if (library !== null && Number(pagemap) >= 0 && faults >= 0) {
    const fds = { faults, pagemap: Number(pagemap) };
    if (isTrue(library, fds)) return fds;
  }
  for (const fd of [Number(pagemap), faults]) if (fd >= 0) closeSync(fd);
  return null;
}

/** For descriptors that `openTracking` opened, in any thread of the process. */
export function useTracking(fds: TrackingFds): WriteTracking | null {
  const library = openLibrary();
  return library === null ? null : withLibrary(library, fds);
}

function openFaults({ functions }: Library): number {
  const number = SYS_USERFAULTFD[process.arch];
  if (number === undefined) return -1;
  const flags = BigInt(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  const fd = Number(functions.syscall(number, flags));
  if (fd < 0) return -1;
  const features = FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC;
  if (functions.ioctl(fd, UFFDIO_API, bytesOf([UFFD_API, features, 0n])) === 0) return fd;
  closeSync(fd);
  return -1;
}

function bytesOf(words: readonly bigint[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new BigUint64Array(words).buffer);
}

/** Tries it on three pages: none touched before, one written in between, one never. */
function isTrue(library: Library, fds: TrackingFds): boolean {
  const tracking = withLibrary(library, fds);
  const { pageBytes } = tracking;
  const length = 3 * pageBytes;
  const { mmap, munmap } = library.functions;
  const at = mmap(NOWHERE, BigInt(length), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
  if (typeof at !== 'bigint' || at === MAP_FAILED || at === -1n) return false;
  try {
    const bytes = new Uint8Array(library.view(at, length));
    bytes[0] = 1;
    const watched = tracking.watch(at, length) && tracking.take(at, length)?.length === 0;
    if (!watched) return false;
    bytes[pageBytes] = 1;
    const counted = tracking.count(at, length);
    const [found, ...others] = tracking.take(at, length) ?? [];
    const isIt = found?.from === pageBytes && found.to === 2 * pageBytes && others.length === 0;
    return isIt && counted === pageBytes && tracking.take(at, length)?.length === 0;
  } finally {
    munmap(at, BigInt(length));
  }
}

function withLibrary(library: Library, { faults, pagemap }: TrackingFds): WriteTracking {
  const { functions, addressOf } = library;
  const regions = new BigUint64Array(REGIONS_A_CALL * REGION_WORDS);
  const regionsAt = addressOf(regions.buffer);
  const order = new BigUint64Array(SCAN_BYTES / 8);
  const orderBytes = new Uint8Array(order.buffer);

  /** Hands over what was written, or false when a part of the range is not watched. */
  function scan(
    address: bigint,
    lengthBytes: number,
    flags: bigint,
    found: (from: number, to: number) => void,
  ): boolean {
    const end = address + BigInt(lengthBytes);
    for (let at = address; at < end; at = order[WALK_END]!) {
      order.set([
        BigInt(SCAN_BYTES),
        flags | PM_SCAN_CHECK_WPASYNC,
        at,
        end,
        0n,
        regionsAt,
        BigInt(REGIONS_A_CALL),
        0n,
        0n,
        PAGE_IS_WRITTEN,
        0n,
        PAGE_IS_WRITTEN,
      ]);
      const count = Number(functions.ioctl(pagemap, PAGEMAP_SCAN, orderBytes));
      if (count < 0 || order[WALK_END]! <= at) return false;
      for (let region = 0; region < count; region++) {
        const from = regions[region * REGION_WORDS]!;
        const to = regions[region * REGION_WORDS + 1]!;
        found(Number(from - address), Number(to - address));
      }
    }
    return true;
  }

  return {
    pageBytes: Number(functions.getpagesize()),
    addressOf,
    watch: (address, lengthBytes) => {
      const request = bytesOf([address, BigInt(lengthBytes), REGISTER_MODE_WP, 0n]);
      if (functions.ioctl(faults, UFFDIO_REGISTER, request) !== 0) return false;
      return scan(address, lengthBytes, PM_SCAN_WP_MATCHING, () => undefined);
    },
    take: (address, lengthBytes) => {
      const ranges: ByteRange[] = [];
      const known = scan(address, lengthBytes, PM_SCAN_WP_MATCHING, (from, to) => {
        ranges.push({ from, to });
      });
      return known ? ranges : null;
    },
    count: (address, lengthBytes) => {
      let bytes = 0;
      const known = scan(address, lengthBytes, 0n, (from, to) => {
        bytes += to - from;
      });
      return known ? bytes : null;
    },
  };
}
