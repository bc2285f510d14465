/*
 * self-checkpoint [ROUNDS]: proves that a guest can ask for a checkpoint itself, in several places,
 * and learns from the return value whether it goes on or has come back.
 *
 * It asks in main, at the bottom of a recursion, in a callback of qsort, in arguments of a sum with
 * values waiting, and through a pointer to the imported function. It prints each answer, so the
 * output depends on what the host did; all else it checks.
 */
#include "self-check.h"
#include "stasis.h"

static uint32_t asked, checkpointed, restarted, refused;

/* An import in the table: called indirectly, with no function of the guest around it. */
static int32_t (*volatile ask_by_pointer)(void) = stasis_checkpoint;

static CALL void note(const char *place, int32_t answer, uint32_t before) {
  same("memory across the checkpoint", asked, before);
  asked++;
  if (answer == STASIS_CHECKPOINTED) {
    checkpointed++;
    printf("%s: checkpointed\n", place);
  } else if (answer == STASIS_RESTARTED) {
    restarted++;
    printf("%s: restarted\n", place);
  } else if (answer < 0) {
    refused++;
    printf("%s: refused, errno %" PRId32 "\n", place, -answer);
  } else {
    differs("answer of the host", (uint64_t)answer, STASIS_RESTARTED);
  }
}

static CALL void ask(const char *place) {
  uint32_t before = asked;
  note(place, stasis_checkpoint(), before);
}

static CALL uint64_t descend(uint32_t depth) {
  uint64_t mine = mix(depth, 5);
  if (depth == 0) ask("bottom of a recursion");
  uint64_t below = depth == 0 ? 0 : descend(depth - 1);
  same("local in a recursion", mine, mix(depth, 5));
  return mix(below, mine);
}

static uint32_t comparisons;

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  if (++comparisons == 100) ask("callback of qsort");
  return (a > b) - (a < b);
}

static void check_sort(uint64_t seed) {
  uint64_t numbers[100], sum = 0, sum_after = 0;
  for (int at = 0; at < 100; at++) sum += numbers[at] = next(&seed);
  comparisons = 0;
  qsort(numbers, 100, sizeof *numbers, compare);
  for (int at = 0; at < 100; at++) {
    sum_after += numbers[at];
    if (at > 0 && numbers[at - 1] > numbers[at]) differs("order", numbers[at - 1], numbers[at]);
  }
  same("sum of the sorted numbers", sum_after, sum);
}

static uint64_t ask_and_give(uint64_t value) {
  ask("argument of a call");
  return value;
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 3);
  uint64_t descended = 0;
  for (uint32_t depth = 0; depth <= 50; depth++) descended = mix(descended, mix(depth, 5));
  for (uint32_t round = 0; round < rounds; round++) {
    printf("round %" PRIu32 "\n", round);
    ask("main");
    same("checksum of the recursion", descend(50), descended);
    check_sort(round + 1);
    uint32_t before = asked;
    note("pointer to the import", ask_by_pointer(), before);
    uint64_t sum = ask_and_give(round) + ask_and_give(round + 1) * 10;
    same("values waiting", sum, round * UINT64_C(11) + 10);
  }
  same("times asked", asked, rounds * 6);
  same("answers", checkpointed + restarted + refused, asked);
  return ok("self-checkpoint");
}
