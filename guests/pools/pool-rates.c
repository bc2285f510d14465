/*
 * pool-rates [PAGE_BYTES [ROUNDS [window]]]: how long pinning and unpinning take, for the benchmark.
 *
 * It opens the pool "rates" and prints one line for each kind of work: its name and the nanoseconds
 * that one round took, the least of five runs.
 */
#include "../self-check.h"
#include "stasis-pool.h"

#include <time.h>

#define SLOTS 8u
#define PAGES 8u /* all in frames: no file is read or written while time is taken */

static _Alignas(65536) uint8_t slots[SLOTS * 65536];
static uint32_t pool, page_bytes;
static volatile uint32_t sink;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint32_t *pin(uint32_t page, uint32_t mode) {
  void *address;
  same("pool_pin", (uint64_t)pool_pin(pool, page, mode, &address), 0);
  return address;
}

static void unpin(uint32_t page, uint32_t dirty) {
  same("pool_unpin", (uint64_t)pool_unpin(pool, page, dirty), 0);
}

static void read_a_word(uint32_t round) {
  uint32_t page = round % PAGES;
  sink = *pin(page, POOL_READ);
  unpin(page, 0);
}

static void read_all(uint32_t round) {
  uint32_t page = round % PAGES, sum = 0;
  uint32_t *words = pin(page, POOL_READ);
  for (uint32_t at = 0; at < page_bytes / 4; at++) sum += words[at];
  sink = sum;
  unpin(page, 0);
}

static void write_a_word(uint32_t round) {
  uint32_t page = round % PAGES;
  *pin(page, POOL_WRITE) = round;
  unpin(page, 1);
}

static void write_all(uint32_t round) {
  uint32_t page = round % PAGES;
  memset(pin(page, POOL_WRITE), (int)round, page_bytes);
  unpin(page, 1);
}

static void measure(const char *name, void (*work)(uint32_t), uint32_t rounds) {
  uint64_t least = UINT64_MAX;
  for (int run = 0; run < 5; run++) {
    uint64_t began = now_ns();
    for (uint32_t round = 0; round < rounds; round++) work(round);
    uint64_t took = now_ns() - began;
    if (took < least) least = took;
  }
  printf("%s %" PRIu64 "\n", name, least / rounds);
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

/* Opening and closing, as a checkpoint does for every pool. */
static void measure_opening(uint32_t flags) {
  enum { TIMES = 21 };
  uint64_t took[TIMES];
  for (int time = 0; time < TIMES; time++) {
    uint64_t began = now_ns();
    same("pool_close", (uint64_t)pool_close(pool), 0);
    same("pool_open", (uint64_t)pool_open("rates", 5, page_bytes, slots, SLOTS, flags, &pool), 0);
    took[time] = now_ns() - began;
  }
  qsort(took, TIMES, sizeof *took, compare);
  printf("close-and-open %" PRIu64 "\n", took[TIMES / 2]);
}

int main(int argc, char **argv) {
  begin();
  page_bytes = argument_or(argc, argv, 1, 4096);
  uint32_t rounds = argument_or(argc, argv, 2, 2000);
  uint32_t flags = argc > 3 && strcmp(argv[3], "window") == 0 ? POOL_WINDOW : 0;
  if (page_bytes > 65536) return 2;
  int32_t opened = pool_open("rates", 5, page_bytes, slots, SLOTS, flags, &pool);
  if (opened != 0) {
    printf("pool_open: error %" PRId32 "\n", opened);
    return 2;
  }
  measure("read-a-word", read_a_word, rounds);
  measure("read-all", read_all, rounds);
  measure("write-a-word", write_a_word, rounds);
  measure("write-all", write_all, rounds);
  measure_opening(flags);
  same("pool_close", (uint64_t)pool_close(pool), 0);
  return ok("pool-rates");
}
