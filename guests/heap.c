/*
 * heap [MEBIBYTES [ROUNDS]]: proves that a heap which grew (memory.grow, by malloc and by hand)
 * comes back whole, allocator included.
 *
 * Blocks of random sizes are allocated, resized and freed. Each is filled with a sequence that
 * belongs to it, and checked whenever it is touched, and all of them at the end.
 */
#include "self-check.h"

#define BLOCKS 256

static struct block {
  uint8_t *bytes;
  size_t size;
  uint64_t seed;
} blocks[BLOCKS];

static CALL void fill(struct block *block, size_t from) {
  for (size_t at = from; at < block->size; at++)
    block->bytes[at] = (uint8_t)((block->seed + at * 0x9e3779b1u) >> 11);
}

static CALL void check(const struct block *block, size_t size) {
  for (size_t at = 0; at < size; at++)
    if (block->bytes[at] != (uint8_t)((block->seed + at * 0x9e3779b1u) >> 11))
      differs("byte of a heap block", block->bytes[at], at);
}

static void allocate(struct block *block, size_t size, uint64_t seed) {
  *block = (struct block){malloc(size), size, seed};
  if (block->bytes == NULL) differs("malloc", 0, size);
  fill(block, 0);
}

static void resize(struct block *block, size_t size) {
  size_t kept = block->size < size ? block->size : size;
  block->bytes = realloc(block->bytes, size);
  if (block->bytes == NULL) differs("realloc", 0, size);
  block->size = size;
  check(block, kept);
  fill(block, kept);
}

int main(int argc, char **argv) {
  begin();
  uint32_t mebibytes = argument_or(argc, argv, 1, 4);
  uint32_t rounds = argument_or(argc, argv, 2, 2500);
  size_t size_max = (size_t)mebibytes * 1024 * 1024 / BLOCKS * 2;
  uint64_t random = 11;
  size_t pages_at_start = __builtin_wasm_memory_size(0);

  for (uint32_t round = 0; round < rounds; round++) {
    struct block *block = &blocks[next(&random) % BLOCKS];
    size_t size = next(&random) % size_max + 1;
    if (block->bytes == NULL) {
      allocate(block, size, next(&random));
    } else if (next(&random) % 2) {
      check(block, block->size);
      resize(block, size);
    } else {
      check(block, block->size);
      free(block->bytes);
      *block = (struct block){0};
    }
    if (round % 100 == 0)
      printf("round %" PRIu32 ": %zu pages\n", round, __builtin_wasm_memory_size(0));
  }

  /* Pages that no allocator knows of: grown by hand, zero at first, and ours. */
  size_t before = __builtin_wasm_memory_grow(0, 2);
  same("pages after growing by hand", __builtin_wasm_memory_size(0), before + 2);
  struct block by_hand = {(uint8_t *)(before * 65536), 2 * 65536, 77};
  for (size_t at = 0; at < by_hand.size; at++) same("new page", by_hand.bytes[at], 0);
  fill(&by_hand, 0);
  printf("grown by hand: %zu pages\n", __builtin_wasm_memory_size(0));

  size_t held = 0;
  for (uint32_t at = 0; at < BLOCKS; at++) {
    check(&blocks[at], blocks[at].size);
    held += blocks[at].size;
  }
  check(&by_hand, by_hand.size);
  if (__builtin_wasm_memory_size(0) <= pages_at_start + 2)
    differs("pages: the heap never grew", __builtin_wasm_memory_size(0), pages_at_start);
  printf("%zu bytes in blocks, %zu pages\n", held, __builtin_wasm_memory_size(0));
  return ok("heap");
}
