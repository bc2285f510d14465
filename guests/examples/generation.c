/*
 * A generator of names that never gives one twice, though the guest is restored many times from one
 * checkpoint: it starts anew whenever the number of the run differs from the one that it saw last.
 *
 * Usage: generation [names] [microseconds to sleep after each]. Prints `GENERATION COUNT` lines.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stasis.h"

static uint64_t seen;
static uint32_t count;

static int print_name(void) {
  uint64_t generation;
  int32_t failure = stasis_generation(&generation);
  if (failure != 0) return failure;
  if (generation != seen) {
    seen = generation;
    count = 0;
  }
  printf("%016" PRIx64 " %" PRIu32 "\n", seen, count++);
  return 0;
}

int main(int argc, char **argv) {
  int names = argc > 1 ? atoi(argv[1]) : 10;
  int sleep_us = argc > 2 ? atoi(argv[2]) : 0;
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  if (stasis_generation((uint64_t *)(uintptr_t)UINT32_C(0xfffffffc)) != 21) return 1;
  for (int i = 0; i < names; i++) {
    if (print_name() != 0) return 1;
    if (sleep_us > 0) usleep((useconds_t)sleep_us);
  }
  return 0;
}
