/**
 * `stasis_kv`: the functions that a guest imports. `guests/include/stasis-kv.h` says what each does.
 *
 * Invariants:
 * 1. A call answers with an errno of preview1 or INTERRUPTED, whatever its arguments are; results are
 *    written only with SUCCESS, save the length that OVERFLOW tells.
 * 2. A call that is interrupted or answers BUSY has changed nothing.
 */
import { ERRNO } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { GuestAccess, GuestFunction } from '../resource/provider.ts';
import { ForeignFile, type KvDatabase } from './database.ts';
import { KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX } from './kv-state.ts';
import type { OpenDatabases } from './open-databases.ts';
import { errnoOfSqlite } from './sqlite-errno.ts';

/** How long a call waits for others who write, and how often it looks. */
const BUSY_NS = 5_000_000_000n;
const LOOK_NS = 5_000_000n;
const DESCENDING = 1;
const LENGTH_BYTES = 4;

type Call = (...args: number[]) => number;

export function kvCalls(
  open: OpenDatabases,
  guest: () => GuestAccess,
): Readonly<Record<string, GuestFunction>> {
  /** Until when the call that is going on waits; null when none does. */
  let busyUntilNs: bigint | null = null;

  function memory(): GuestMemory {
    return guest().memory;
  }

  /** Bytes of the guest, copied: they may change while a call waits. */
  function bytesAt(pointer: number, length: number): Uint8Array {
    return memory().bytes.slice(pointer >>> 0, (pointer >>> 0) + (length >>> 0));
  }

  /** Makes the attempt again and again while others keep the database to themselves. */
  function attempt(work: () => number): number {
    const { clock, pause } = guest();
    for (;;) {
      let errno: number;
      try {
        errno = work();
      } catch (error) {
        const said = error instanceof ForeignFile ? ERRNO.IO : errnoOfSqlite(error);
        if (said === null) throw error;
        errno = said;
      }
      const nowNs = clock.monotonicNs();
      busyUntilNs ??= nowNs + BUSY_NS;
      if (errno !== ERRNO.BUSY || nowNs >= busyUntilNs) {
        busyUntilNs = null;
        return errno;
      }
      if (pause.wait(nowNs + LOOK_NS, { stdin: false }) === 'interrupted') return INTERRUPTED;
    }
  }

  function on(number: number, work: (database: KvDatabase) => number): number {
    const connection = open.databases.get(number)?.connection;
    if (connection === undefined || connection === null) return ERRNO.BADF;
    return attempt(() => work(connection));
  }

  const toWrite =
    (work: (database: KvDatabase) => number) =>
    (database: KvDatabase): number =>
      database.isReadOnly ? ERRNO.ROFS : work(database);

  /** What is wrong with a key as an argument; SUCCESS when nothing is. */
  function keyErrno(pointer: number, length: number): number {
    if (!memory().holds(pointer, length)) return ERRNO.FAULT;
    if (length === 0) return ERRNO.INVAL;
    return length >>> 0 > KEY_BYTES_MAX ? ERRNO.TOOBIG : ERRNO.SUCCESS;
  }

  /** An end of a range: null for none. */
  function boundAt(pointer: number, length: number): Uint8Array | null {
    return length === 0 ? null : bytesAt(pointer, length);
  }

  function boundErrno(pointer: number, length: number): number {
    return length === 0 ? ERRNO.SUCCESS : keyErrno(pointer, length);
  }

  function setU32(pointer: number, value: number): void {
    memory().view.setUint32(pointer >>> 0, value, true);
  }

  const calls: Readonly<Record<string, Call>> = {
    open: (name, nameLength, result) => {
      if (!memory().holds(name, nameLength) || !memory().holds(result, LENGTH_BYTES)) {
        return ERRNO.FAULT;
      }
      if (nameLength >>> 0 > NAME_BYTES_MAX) return ERRNO.NOENT;
      const grant = open.grantOf(Buffer.from(bytesAt(name, nameLength)).toString('utf8'));
      if (grant === null) return ERRNO.NOENT;
      return attempt(() => {
        const number = open.add(grant);
        if (number === null) return ERRNO.MFILE;
        setU32(result, number);
        return ERRNO.SUCCESS;
      });
    },
    close: (number) => {
      if (!open.databases.has(number)) return ERRNO.BADF;
      open.remove(number);
      return ERRNO.SUCCESS;
    },
    get: (number, key, keyLength, value, valueMax, result) => {
      const wrong = keyErrno(key, keyLength);
      if (wrong !== ERRNO.SUCCESS) return wrong;
      if (!memory().holds(value, valueMax) || !memory().holds(result, LENGTH_BYTES)) {
        return ERRNO.FAULT;
      }
      return on(number, (database) => {
        const found = database.get(bytesAt(key, keyLength));
        if (found === null) return ERRNO.NOENT;
        setU32(result, found.length);
        if (found.length > valueMax >>> 0) return ERRNO.OVERFLOW;
        memory().bytes.set(found, value >>> 0);
        return ERRNO.SUCCESS;
      });
    },
    put: (number, key, keyLength, value, valueLength) => {
      const wrong = keyErrno(key, keyLength);
      if (wrong !== ERRNO.SUCCESS) return wrong;
      if (!memory().holds(value, valueLength)) return ERRNO.FAULT;
      if (valueLength >>> 0 > VALUE_BYTES_MAX) return ERRNO.FBIG;
      return on(
        number,
        toWrite((database) => {
          database.put(bytesAt(key, keyLength), bytesAt(value, valueLength));
          return ERRNO.SUCCESS;
        }),
      );
    },
    delete: (number, key, keyLength) => {
      const wrong = keyErrno(key, keyLength);
      if (wrong !== ERRNO.SUCCESS) return wrong;
      return on(
        number,
        toWrite((database) =>
          database.delete(bytesAt(key, keyLength)) ? ERRNO.SUCCESS : ERRNO.NOENT,
        ),
      );
    },
    begin: (number) =>
      on(number, (database) => {
        if (database.inTransaction) return ERRNO.ALREADY;
        database.begin();
        return ERRNO.SUCCESS;
      }),
    commit: (number) =>
      on(number, (database) => {
        if (!database.inTransaction) return ERRNO.INVAL;
        database.commit();
        return ERRNO.SUCCESS;
      }),
    rollback: (number) =>
      on(number, (database) => {
        if (!database.inTransaction) return ERRNO.INVAL;
        database.rollback();
        return ERRNO.SUCCESS;
      }),
    cursor: (number, from, fromLength, to, toLength, flags, result) => {
      for (const wrong of [boundErrno(from, fromLength), boundErrno(to, toLength)]) {
        if (wrong !== ERRNO.SUCCESS) return wrong;
      }
      if (!memory().holds(result, LENGTH_BYTES)) return ERRNO.FAULT;
      if ((flags & ~DESCENDING) !== 0) return ERRNO.INVAL;
      if (!open.databases.has(number)) return ERRNO.BADF;
      const cursor = open.addCursor(number, {
        from: boundAt(from, fromLength),
        to: boundAt(to, toLength),
        descending: (flags & DESCENDING) !== 0,
      });
      if (cursor === null) return ERRNO.MFILE;
      setU32(result, cursor);
      return ERRNO.SUCCESS;
    },
    next: (number, key, keyMax, keyResult, value, valueMax, valueResult) => {
      const places = [
        [key, keyMax],
        [keyResult, LENGTH_BYTES],
        [value, valueMax],
        [valueResult, LENGTH_BYTES],
      ] as const;
      if (!places.every(([pointer, length]) => memory().holds(pointer, length))) {
        return ERRNO.FAULT;
      }
      const cursor = open.cursors.get(number);
      if (cursor === undefined) return ERRNO.BADF;
      return on(cursor.database, (database) => {
        const entry = database.next(cursor.range, cursor.last);
        if (entry === null) return ERRNO.NOENT;
        setU32(keyResult, entry.key.length);
        setU32(valueResult, entry.value.length);
        const fits = entry.key.length <= keyMax >>> 0 && entry.value.length <= valueMax >>> 0;
        if (!fits) return ERRNO.OVERFLOW;
        memory().bytes.set(entry.key, key >>> 0);
        memory().bytes.set(entry.value, value >>> 0);
        cursor.last = entry.key;
        return ERRNO.SUCCESS;
      });
    },
    cursor_close: (number) => (open.cursors.delete(number) ? ERRNO.SUCCESS : ERRNO.BADF),
  };
  return calls as Readonly<Record<string, GuestFunction>>;
}
