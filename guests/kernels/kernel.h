/*
 * kernel.h: what the benchmark kernels share. A kernel takes one argument, the size of its
 * problem, prints one line "checksum HEX", and ends with status 0. It doesn't look at a clock:
 * whoever runs it does.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "../self-check.h"

static inline uint32_t size_or(int argc, char **argv, uint32_t fallback) {
  return argument_or(argc, argv, 1, fallback);
}

static inline int print_checksum(uint64_t hash) {
  printf("checksum %016" PRIx64 "\n", hash);
  return 0;
}

#endif
