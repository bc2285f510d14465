/*
 * Functions of a provider: every type of argument and result, memory that the provider writes, a call
 * that waits, and a sum that provider and guest keep apart and must agree on.
 *
 * Usage: provider-calls [rounds] [milliseconds to wait in each]. Needs the provider that
 * test/e2e/providers/probe.mjs exports, as `stasis run --provider` loads it.
 */
#include "self-check.h"

#define PROBE(name) __attribute__((import_module("probe"), import_name(name)))

/* Adds to a sum that the provider keeps, and gives the sum. */
PROBE("add") int64_t probe_add(int64_t amount);
/* a * b + c */
PROBE("mix") double probe_mix(double a, float b, int32_t c);
/* a / 2 */
PROBE("half") float probe_half(float a);
/* Writes `length` bytes `byte`; EFAULT (21) beyond memory. */
PROBE("fill") int32_t probe_fill(void *to, int32_t length, int32_t byte);
/* Gives -1, which is a number like any other. */
PROBE("minus") int32_t probe_minus(void);
/* Waits so many milliseconds, and can be captured in it. Gives no result. */
PROBE("wait") void probe_wait(int32_t milliseconds);

CALL static int64_t round_of(uint32_t round, int64_t sum, int32_t wait) {
  char bytes[100];
  int64_t amount = (int64_t)round * 0x100000001 + 7;
  same("sum", (uint64_t)probe_add(amount), (uint64_t)(sum + amount));
  same("double", (uint64_t)probe_mix(1.5, 2.25f, (int32_t)round), round + 3);
  same("float", (uint64_t)(probe_half((float)round * 4.0f)), round * 2);
  same("fill", (uint64_t)probe_fill(bytes, sizeof bytes, (int32_t)(round % 100)), 0);
  for (size_t i = 0; i < sizeof bytes; i++) same("byte", (uint64_t)bytes[i], round % 100);
  same("beyond", (uint64_t)probe_fill((void *)UINT32_C(0xfffffff0), 100, 1), 21);
  same("minus one", (uint64_t)(int64_t)probe_minus(), (uint64_t)INT64_C(-1));
  if (wait > 0) probe_wait(wait);
  return sum + amount;
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 50);
  int32_t wait = (int32_t)argument_or(argc, argv, 2, 0);
  int64_t sum = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    if (round % 10 == 0) printf("round %" PRIu32 "\n", round);
    sum = round_of(round, sum, wait);
  }
  printf("sum %" PRId64 "\n", sum);
  return ok("provider-calls");
}
