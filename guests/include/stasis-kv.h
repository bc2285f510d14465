/*
 * stasis-kv.h: databases of keys and values that outlive the guest.
 *
 * A database is named by whoever starts the guest (--kv NAME=FILE; it is a SQLite file). Others may
 * use it at the same time, and between a checkpoint and a restart.
 *
 * What can be relied on:
 * - A put or a delete outside of a transaction is on the disk when it returns. In a transaction,
 *   everything is when kv_commit returns, or nothing.
 * - A guest in a transaction is not checkpointed: whoever asks is refused, and stasis_checkpoint
 *   answers -63 (EPERM). Keep transactions short. So no transaction is ever cut in half by a restart.
 * - A restart takes back the guest, not the database: what the guest committed after its checkpoint
 *   is there. To do a thing exactly once, commit it together with the record that it is done.
 * - Databases and cursors keep their numbers across a checkpoint and a restart. A cursor goes on
 *   behind the key that it gave last. It sees the database as it is at each step: what others add
 *   before that key is never seen, what they add behind it is.
 *
 * Keys have 1 to 4096 bytes and are ordered byte by byte; values have up to 16 MiB.
 * Every function returns 0 or an error number of WASI, the same as errno has in wasi-libc. Beside
 * those named below each may answer KV_EBADF (no such number), KV_EFAULT (not in memory), KV_EBUSY
 * (others kept the database for five seconds; nothing was done) and KV_EIO.
 * Link nothing: the functions are imports of the module "stasis_kv", resolved by the host.
 */
#ifndef STASIS_KV_H
#define STASIS_KV_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STASIS_KV_IMPORT(name) __attribute__((import_module("stasis_kv"), import_name(name)))

#define KV_E2BIG 1      /* the key is too long */
#define KV_EALREADY 7   /* there is a transaction already */
#define KV_EBADF 8
#define KV_EBUSY 10
#define KV_EFAULT 21
#define KV_EFBIG 22     /* the value is too long */
#define KV_EINVAL 28    /* an empty key, or no transaction to end */
#define KV_EIO 29       /* of a file that is damaged, or no such database, as well */
#define KV_EMFILE 33    /* 16 databases or 64 cursors are open */
#define KV_ENOENT 44    /* no such name, no such key, or the end of the range */
#define KV_ENOSPC 51    /* the disk is full; a transaction is rolled back */
#define KV_EOVERFLOW 61 /* what was found does not fit; its length was written */
#define KV_EROFS 69     /* granted for reading only (--kv NAME=FILE,ro) */

/* Opens the database `name` and writes its number. The same one can be opened several times. */
STASIS_KV_IMPORT("open")
int32_t kv_open(const char *name, uint32_t name_length, uint32_t *database);

/* Closes it and its cursors. An open transaction is rolled back. */
STASIS_KV_IMPORT("close")
int32_t kv_close(uint32_t database);

/* Writes the value's length, and the value if it has at most `value_max` bytes. */
STASIS_KV_IMPORT("get")
int32_t kv_get(uint32_t database, const void *key, uint32_t key_length, void *value,
               uint32_t value_max, uint32_t *value_length);

/* Puts the value in place of what was there. */
STASIS_KV_IMPORT("put")
int32_t kv_put(uint32_t database, const void *key, uint32_t key_length, const void *value,
               uint32_t value_length);

/* KV_ENOENT when there was none. */
STASIS_KV_IMPORT("delete")
int32_t kv_delete(uint32_t database, const void *key, uint32_t key_length);

/* A transaction: others see all of it or nothing, and others who write wait for its end. */
STASIS_KV_IMPORT("begin")
int32_t kv_begin(uint32_t database);
STASIS_KV_IMPORT("commit")
int32_t kv_commit(uint32_t database);
STASIS_KV_IMPORT("rollback")
int32_t kv_rollback(uint32_t database);

/* For kv_cursor. */
#define KV_DESCENDING 1u

/* A cursor over the keys from `from` up to, not including, `to`. A length of 0 is no bound. */
STASIS_KV_IMPORT("cursor")
int32_t kv_cursor(uint32_t database, const void *from, uint32_t from_length, const void *to,
                  uint32_t to_length, uint32_t flags, uint32_t *cursor);

/*
 * The next entry, in the cursor's order. Both lengths are written; when either part does not fit it is
 * KV_EOVERFLOW, nothing else is written and the cursor stays. KV_ENOENT at the end: asked again later
 * it gives what came to be behind the last key meanwhile.
 */
STASIS_KV_IMPORT("next")
int32_t kv_next(uint32_t cursor, void *key, uint32_t key_max, uint32_t *key_length, void *value,
                uint32_t value_max, uint32_t *value_length);

STASIS_KV_IMPORT("cursor_close")
int32_t kv_cursor_close(uint32_t cursor);

#ifdef __cplusplus
}
#endif

#endif
