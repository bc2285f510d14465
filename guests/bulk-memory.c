/*
 * bulk-memory [ROUNDS]: proves that memory.copy and memory.fill, overlapping in both directions,
 * work on memory that came back. What they make is compared with loops that go byte by byte.
 *
 * Built with -mbulk-memory, which turns memcpy, memmove and memset of any size into them.
 */
#include "self-check.h"

#define SIZE 65536

static uint8_t by_bulk[SIZE], by_loop[SIZE];

/* Volatile accesses, so that the compiler can't make a memory.copy of the loop. */
static CALL void copy_by_loop(uint32_t to, uint32_t from, uint32_t count) {
  volatile uint8_t *bytes = by_loop;
  if (to < from)
    for (uint32_t at = 0; at < count; at++) bytes[to + at] = bytes[from + at];
  else
    for (uint32_t at = count; at-- > 0;) bytes[to + at] = bytes[from + at];
}

static CALL void fill_by_loop(uint32_t to, uint8_t value, uint32_t count) {
  volatile uint8_t *bytes = by_loop;
  for (uint32_t at = 0; at < count; at++) bytes[to + at] = value;
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 2000);
  uint64_t random = 9;
  for (uint32_t at = 0; at < SIZE; at++) by_bulk[at] = by_loop[at] = (uint8_t)next(&random);
  for (uint32_t round = 0; round < rounds; round++) {
    uint32_t count = (uint32_t)(next(&random) % (SIZE / 2));
    uint32_t to = (uint32_t)(next(&random) % (SIZE - count));
    uint32_t from = (uint32_t)(next(&random) % (SIZE - count));
    if (round % 5 == 4) {
      memset(by_bulk + to, (int)(round & 0xff), count / 8);
      fill_by_loop(to, (uint8_t)round, count / 8);
    } else {
      memmove(by_bulk + to, by_bulk + from, count);
      copy_by_loop(to, from, count);
    }
    /* Fresh noise, or copies and fills would soon make all bytes equal. */
    for (uint32_t noise = 0; noise < 64; noise++) {
      uint32_t at = (uint32_t)(next(&random) % SIZE);
      by_bulk[at] = by_loop[at] = (uint8_t)next(&random);
    }
    if (round % 200 == 0)
      printf("round %" PRIu32 ": %02x %02x\n", round, by_bulk[to], by_bulk[SIZE - 1]);
    for (uint32_t at = round % 16; at < SIZE; at += 16)
      if (by_bulk[at] != by_loop[at]) differs("byte", by_bulk[at], by_loop[at]);
  }
  same("all bytes", (uint64_t)(uint32_t)memcmp(by_bulk, by_loop, SIZE), 0);
  uint64_t hash = 0;
  for (uint32_t at = 0; at < SIZE; at++) hash = mix(hash, by_bulk[at]);
  printf("%" PRIu32 " rounds: %016" PRIx64 "\n", rounds, hash);
  return ok("bulk-memory");
}
