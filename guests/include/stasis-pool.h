/*
 * stasis-pool.h: shared buffer pools. Several guests of one user share the pages of one file.
 *
 * A pool is named by whoever starts the guest (--pool NAME=FILE). The guest opens it with a range of
 * its own memory, cut into slots of one page each, and pins pages: each stands in a slot, at an
 * address that stays the same until it is unpinned, also across a checkpoint and in every later run.
 *
 * What can be relied on:
 * - A page that is pinned for writing is changed by nobody else. Its changes are published when the
 *   last pin on it is given back with dirty = 1: all at once, or not at all.
 * - The bytes of a pinned page change only by the guest itself, and around a checkpoint: then they
 *   are what the page holds now. pool_changed tells. A checkpoint can come at any moment. So whoever
 *   reads a page asks pool_changed before it trusts what it found, and reads again if that says so;
 *   and whoever changes a page takes POOL_ESTALE from pool_unpin for what it is: others changed
 *   the page meanwhile, these changes are dropped, start again with the page as it is now.
 * - Everything published is in the file, whole and in order, after pool_flush, after pool_close and
 *   before a checkpoint exists. After a crash the file holds everything up to some publication, and
 *   nothing after it.
 *
 * Every function returns 0 or an error number of WASI. The same as errno has in wasi-libc.
 * Link nothing: the functions are imports of the module "stasis_pool", resolved by the host.
 */
#ifndef STASIS_POOL_H
#define STASIS_POOL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STASIS_POOL_IMPORT(name) __attribute__((import_module("stasis_pool"), import_name(name)))

/* Errors that programs usually handle; each function may answer with others. */
#define POOL_EAGAIN 6      /* POOL_NO_WAIT, and another guest has the page */
#define POOL_EBUSY 10      /* pages are pinned */
#define POOL_EDEADLK 16    /* another guest had the page for five seconds: give back what you hold */
#define POOL_ENOBUFS 42    /* every slot, or every frame of the pool, is in use */
#define POOL_ENOENT 44     /* no pool of that name is granted */
#define POOL_ENOTSUP 58    /* no windows here: open it without POOL_WINDOW */
#define POOL_ETIMEDOUT 73  /* a process that stands still holds the pool: nothing changed, call again */
#define POOL_ESTALE 72     /* the page was changed by others around a checkpoint; nothing was published */

/* For pool_open: slots show the frames themselves, as memory shared with all other guests that have
 * the pool open in this way. Without it pages are copied into slots and back. */
#define POOL_WINDOW 1u

/* For pool_pin. */
#define POOL_READ 0u
#define POOL_WRITE 1u
#define POOL_NO_WAIT 2u

struct pool_facts {
  uint32_t page_bytes;
  uint32_t slots;
  uint32_t frames;   /* of the whole pool: may be another number after a restart */
  uint32_t pages;    /* page numbers go from 0 to pages - 1 */
  uint32_t flags;    /* POOL_WINDOW; 2: for reading only */
  uint32_t pinned;   /* pages that this guest has pinned */
  uint64_t changes;  /* how often bytes of a pinned page were replaced, in all runs */
  uint64_t zero[2];
};

/* Opens the pool whose name is the name_bytes bytes at name. memory is slots * page_bytes bytes,
 * aligned to page_bytes, which is the pool's. Gives its number at pool.
 * ENOENT, EINVAL (size or alignment), EFAULT, EEXIST (the range is another pool's), EMFILE (16 are
 * open), ENFILE (64 guests have it open), POOL_ENOTSUP, EBADMSG (the file is damaged), ENOSPC. */
STASIS_POOL_IMPORT("open")
int32_t pool_open(const char *name, uint32_t name_bytes, uint32_t page_bytes, void *memory,
                  uint32_t slots, uint32_t flags, uint32_t *pool);

/* Pins a page and gives its address at address; a page nobody wrote yet is zero. Pinning once more
 * counts; pinning for writing what is pinned for reading brings the newest bytes.
 * EBADF, EFBIG (page number), EROFS, EAGAIN, POOL_EDEADLK, POOL_ENOBUFS, POOL_ESTALE. */
STASIS_POOL_IMPORT("pin")
int32_t pool_pin(uint32_t pool, uint32_t page, uint32_t mode, void **address);

/* Gives one pin back; with dirty = 1 the page was changed. EBADF, EINVAL (not pinned), EPERM (dirty,
 * but pinned for reading), POOL_ESTALE (the pin is given back all the same). */
STASIS_POOL_IMPORT("unpin")
int32_t pool_unpin(uint32_t pool, uint32_t page, uint32_t dirty);

/* Makes all that was published by any guest durable. EBADF, ENOSPC, EIO. */
STASIS_POOL_IMPORT("flush")
int32_t pool_flush(uint32_t pool);

/* Flushes and closes. EBADF, POOL_EBUSY. */
STASIS_POOL_IMPORT("close")
int32_t pool_close(uint32_t pool);

/* Whether the bytes of a pinned page were replaced since they were pinned or this was asked last:
 * 1 or 0, at changed. EBADF, EINVAL (not pinned). */
STASIS_POOL_IMPORT("changed")
int32_t pool_changed(uint32_t pool, uint32_t page, uint32_t *changed);

/* How many times the page was published, by anybody, up to now. EBADF, EFBIG. */
STASIS_POOL_IMPORT("version")
int32_t pool_version(uint32_t pool, uint32_t page, uint64_t *version);

STASIS_POOL_IMPORT("facts")
int32_t pool_facts(uint32_t pool, struct pool_facts *facts);

#ifdef __cplusplus
}
#endif

#endif
