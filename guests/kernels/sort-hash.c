/*
 * sort-hash [N]: N numbers (default 1,000,000) are sorted by the C library's qsort, counted in a
 * hash table with open addressing, and looked up again. Indirect calls and scattered memory.
 */
#include "kernel.h"

#define SLOTS (1u << 21)

static struct slot {
  uint64_t key;
  uint32_t count;
} slots[SLOTS];

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

static struct slot *find(uint64_t key) {
  for (uint32_t at = (uint32_t)mix(1, key) % SLOTS;; at = (at + 1) % SLOTS)
    if (slots[at].count == 0 || slots[at].key == key) return &slots[at];
}

int main(int argc, char **argv) {
  uint32_t count = size_or(argc, argv, 1000000);
  if (count > SLOTS / 2) count = SLOTS / 2;
  uint64_t *numbers = malloc(sizeof *numbers * count);
  if (numbers == NULL) return 2;
  uint64_t random = 3, hash = count;
  for (uint32_t at = 0; at < count; at++) numbers[at] = next(&random) % (count * UINT64_C(2));
  for (uint32_t at = 0; at < count; at++) {
    struct slot *slot = find(numbers[at]);
    slot->key = numbers[at];
    slot->count++;
  }
  qsort(numbers, count, sizeof *numbers, compare);
  for (uint32_t at = 0; at < count; at++) hash = mix(hash, numbers[at] + find(numbers[at])->count);
  return print_checksum(hash);
}
