/* journal.h: what docs/examples/journal.mjs offers to a guest. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdint.h>

/* Appends a record. Returns 0, or an error number of WASI: 22 (EFBIG) beyond 4096 bytes, 21 (EFAULT). */
__attribute__((import_module("journal"), import_name("append")))
int32_t journal_append(const void *record, uint32_t length);

#endif
