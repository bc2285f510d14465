/* Does one of the things that WebAssembly forbids, within a few calls, and traps.
 *
 * usage: traps KIND [ROUNDS]
 *   KIND    unreachable, load, store, call, type, divide or overflow
 *   ROUNDS  turns of a loop before it (0 by default): with many, the engine has replaced the loop's code by then
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int zero = 0;
static volatile int least = INT_MIN;
static volatile unsigned beyond = 0xfffffff0u;
typedef int (*function)(int);
typedef double (*other)(double, double);
static volatile function nothing;
static int same(int n) { return n; }
static volatile function something = same;

__attribute__((noinline)) static int fail_unreachable(void) {
  if (zero == 0) __builtin_trap();
  return 1;
}
__attribute__((noinline)) static int fail_load(void) { return *(volatile int *)beyond; }
__attribute__((noinline)) static int fail_store(void) {
  *(volatile int *)beyond = 1;
  return 1;
}
__attribute__((noinline)) static int fail_call(void) { return nothing(1); }
__attribute__((noinline)) static int fail_type(void) {
  return (int)((other)(void *)something)(1, 2);
}
__attribute__((noinline)) static int fail_divide(void) { return 7 / zero; }
__attribute__((noinline)) static int fail_overflow(void) { return least / (zero - 1); }

static const struct {
  const char *kind;
  int (*fail)(void);
} kinds[] = {
    {"unreachable", fail_unreachable}, {"load", fail_load}, {"store", fail_store},
    {"call", fail_call},               {"type", fail_type}, {"divide", fail_divide},
    {"overflow", fail_overflow},
};

/* The loop calls, so that it has safepoints, and traps in a call from its last turn. */
__attribute__((noinline)) static int step(int sum, long round) {
  return sum * 31 + (int)(round ^ (sum >> 3));
}
__attribute__((noinline)) static int work(int (*fail)(void), long rounds) {
  int sum = 1;
  for (long round = 0; round <= rounds; round++) {
    sum = step(sum, round);
    if (round == rounds) sum += fail();
  }
  return sum;
}

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(argv[1], kinds[i].kind) != 0) continue;
    printf("%d\n", work(kinds[i].fail, argc > 2 ? atol(argv[2]) : 0));
    return 1;
  }
  fprintf(stderr, "usage: traps KIND [ROUNDS]\n");
  return 2;
}
