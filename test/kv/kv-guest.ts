/** A guest's end of `stasis_kv` in this process: its memory, its calls, and checkpoints between them. */
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import type { KvGrant } from '../../src/kv/kv-grant.ts';
import { KV_IMPORTS } from '../../src/kv/kv-grant.ts';
import { createKvProvider } from '../../src/kv/kv-provider.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import type { GuestFunction, ProviderState } from '../../src/resource/provider.ts';
import { ProviderRegistry } from '../../src/resource/registry.ts';

/** Places in the guest's memory. */
const AT = { name: 64, key: 128, value: 8192, keyLength: 32, valueLength: 36, number: 40 } as const;
const MEMORY_BYTES = 1 << 16;
const KEY_MAX = 4096;
const VALUE_MAX = 1024;

/** What a call answered: an errno, or what it gave. */
export type Answer = number | string | readonly [string, string] | { readonly number: number };

export interface KvGuest {
  /** The functions as the guest imports them. */
  readonly functions: ReadonlyMap<string, GuestFunction>;
  readonly registry: ProviderRegistry;
  readonly memory: GuestMemory;
  /** What `pause.wait` was asked, and what it answers. */
  pause: (untilNs: bigint | null) => 'timeout' | 'interrupted';
  nowNs: bigint;
  open(name: string): Answer;
  close(database: number): Answer;
  get(database: number, key: string): Answer;
  put(database: number, key: string, value: string): Answer;
  delete(database: number, key: string): Answer;
  begin(database: number): Answer;
  commit(database: number): Answer;
  rollback(database: number): Answer;
  cursor(database: number, from: string, to: string, flags?: number): Answer;
  next(cursor: number): Answer;
  cursorClose(cursor: number): Answer;
  call(name: string, ...args: number[]): number;
}

export function kvGuest(grants: readonly KvGrant[]): KvGuest {
  const buffer = new ArrayBuffer(MEMORY_BYTES);
  const memory = new GuestMemory(() => ({ buffer }));
  const registry = new ProviderRegistry();
  registry.register(createKvProvider(grants));
  const functions = registry.imports().get(KV_IMPORTS)!;

  const put = (at: number, text: string): readonly [number, number] => {
    const bytes = Buffer.from(text);
    memory.bytes.set(bytes, at);
    return [at, bytes.length];
  };
  const text = (at: number, length: number): string =>
    Buffer.from(memory.bytes.subarray(at, at + length)).toString();
  const u32 = (at: number): number => memory.view.getUint32(at, true);
  const call = (name: string, ...args: number[]): number => functions.get(name)!(...args) as number;
  const numbered = (errno: number): Answer => (errno === 0 ? { number: u32(AT.number) } : errno);

  const guest: KvGuest = {
    functions,
    registry,
    memory,
    pause: () => 'timeout',
    nowNs: 0n,
    open: (name) => numbered(call('open', ...put(AT.name, name), AT.number)),
    close: (database) => call('close', database),
    get: (database, key) => {
      const place = [AT.value, VALUE_MAX, AT.valueLength];
      const errno = call('get', database, ...put(AT.key, key), ...place);
      return errno === 0 ? text(AT.value, u32(AT.valueLength)) : errno;
    },
    put: (database, key, value) =>
      call('put', database, ...put(AT.key, key), ...put(AT.value, value)),
    delete: (database, key) => call('delete', database, ...put(AT.key, key)),
    begin: (database) => call('begin', database),
    commit: (database) => call('commit', database),
    rollback: (database) => call('rollback', database),
    cursor: (database, from, to, flags = 0) =>
      numbered(
        call('cursor', database, ...put(AT.key, from), ...put(AT.value, to), flags, AT.number),
      ),
    next: (cursor) => {
      const key = [AT.key, KEY_MAX, AT.keyLength];
      const errno = call('next', cursor, ...key, AT.value, VALUE_MAX, AT.valueLength);
      if (errno !== 0) return errno;
      return [text(AT.key, u32(AT.keyLength)), text(AT.value, u32(AT.valueLength))];
    },
    cursorClose: (cursor) => call('cursor_close', cursor),
    call,
  };
  registry.attach({
    memory,
    clock: {
      realtimeNs: () => 0n,
      monotonicNs: () => guest.nowNs,
      cpuNs: () => 0n,
      resolutionNs: 1n,
    },
    pause: {
      wait: (untilNs) => {
        const answer = guest.pause(untilNs);
        if (answer === 'timeout' && untilNs !== null) guest.nowNs = untilNs;
        return answer;
      },
    },
  });
  return guest;
}

/** Quiesces `guest` and goes on in a fresh one, as another process would: the state goes through CBOR. */
export async function restart(guest: KvGuest, grants: readonly KvGrant[]): Promise<KvGuest> {
  const states = await guest.registry.quiesce();
  guest.registry.close();
  const again = kvGuest(grants);
  const read = decodeCbor(encodeCbor(states as never)) as unknown as ProviderState[];
  await again.registry.rebuild(read, 'restarted');
  return again;
}

/** Quiesces and takes hold again in the same process. */
export async function resume(guest: KvGuest): Promise<KvGuest> {
  await guest.registry.rebuild(await guest.registry.quiesce(), 'resumed');
  return guest;
}

export { INTERRUPTED };
