/*
 * self-check.h: how every guest here prints, mixes checksums, and fails.
 *
 * A guest prints lines as it goes, then "ok NAME" and ends with status 0. When anything it holds
 * is not what it must be, it prints one line that starts with "differs:" and ends with status 1.
 */
#ifndef SELF_CHECK_H
#define SELF_CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A function that must stay a call, so that its caller has a frame that can be captured. */
#define CALL __attribute__((noinline))

/* Writes each line with one call to the host, also when stdout is a file or a pipe. */
static inline void begin(void) { setvbuf(stdout, NULL, _IOLBF, BUFSIZ); }

/* The argument at `index` as a number, or `fallback` where it was not given. */
static inline uint32_t argument_or(int argc, char **argv, int index, uint32_t fallback) {
  return argc > index ? (uint32_t)strtoul(argv[index], NULL, 10) : fallback;
}

/* Ends the guest with status 1, saying what was found and what should have been. */
static inline _Noreturn void differs(const char *what, uint64_t got, uint64_t want) {
  printf("differs: %s: got 0x%" PRIx64 ", want 0x%" PRIx64 "\n", what, got, want);
  exit(1);
}

static inline void same(const char *what, uint64_t got, uint64_t want) {
  if (got != want) differs(what, got, want);
}

#define FORGOTTEN_WORDS 256

/*
 * Clears the stack just below the caller. What a clock or a file system told a function that has
 * returned lies there still, and no two runs would end with the same memory. Without a loop: that
 * would be most of the safepoints of a small guest.
 */
static CALL void forget(void) {
  _Alignas(16) volatile uint64_t below[FORGOTTEN_WORDS];
  /* Its address is used, as far as the compiler knows: so it stays one array, without gaps. */
  __asm__ volatile("" : : "r"(below) : "memory");
#pragma clang loop unroll(full)
  for (int at = 0; at < FORGOTTEN_WORDS; at++) below[at] = 0;
}

static inline int ok(const char *name) {
  printf("ok %s\n", name);
  return 0;
}

/* One step of a checksum: order matters, and every bit of both arguments reaches the result. */
static inline uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  return hash ^ (hash >> 29);
}

/* The next number of a fixed pseudo-random sequence (xorshift64*); `state` must not be zero. */
static inline uint64_t next(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(0x2545f4914f6cdd1d);
}

#endif
