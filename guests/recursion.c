/*
 * recursion [ROUNDS [DEPTH]]: proves that a deep stack comes back frame by frame, with locals of
 * every type (i32, i64, f32, f64, a pointer into the C stack) live across each call.
 *
 * Two functions with different sets of locals call each other DEPTH times (default 400), ROUNDS
 * times over (default 4000). On the way back each level computes its locals again from its depth,
 * and compares.
 */
#include "self-check.h"

static uint32_t depth_max;

/* Volatile, so that the compiler can't take a second computation to be equal to the first. */
static volatile uint32_t salt = 7;

static CALL uint32_t small_of(uint32_t depth) { return depth * 2654435761u + salt; }
static CALL uint64_t large_of(uint32_t depth) { return mix(depth, ~UINT64_C(0xfeed) ^ salt); }
static CALL float single_of(uint32_t depth) { return 1.0f / (float)(depth + salt); }
static CALL double double_of(uint32_t depth) { return -3.0e100 / (double)(depth + salt); }

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint64_t level_mark(uint32_t depth) {
  return mix(mix(small_of(depth), large_of(depth)),
             bits_of((double)single_of(depth)) ^ bits_of(double_of(depth)));
}

static CALL uint64_t odd_level(uint32_t depth, uint32_t round, const uint64_t *of_caller);

static CALL uint64_t even_level(uint32_t depth, uint32_t round, const uint64_t *of_caller) {
  uint32_t small = small_of(depth);
  uint64_t large = large_of(depth);
  float single = single_of(depth);
  double wide = double_of(depth);
  uint64_t on_stack[2] = {large ^ small, depth};

  uint64_t below = depth == depth_max ? round : odd_level(depth + 1, round, on_stack);

  same("caller's stack slot", of_caller[1], depth - 1);
  same("i32 local", small, small_of(depth));
  same("i64 local", large, large_of(depth));
  same("f32 local", bits_of((double)single), bits_of((double)single_of(depth)));
  same("f64 local", bits_of(wide), bits_of(double_of(depth)));
  same("stack slot", on_stack[0], large ^ small);
  return mix(below, mix(mix(small, large), bits_of((double)single) ^ bits_of(wide)));
}

static CALL uint64_t odd_level(uint32_t depth, uint32_t round, const uint64_t *of_caller) {
  double wide = double_of(depth);
  uint64_t large = large_of(depth);
  uint64_t on_stack[2] = {large, depth};
  uint64_t halves = 0;

  /* A call with other values waiting on the operand stack. */
  uint64_t mark =
      mix(mix(small_of(depth), large), bits_of((double)single_of(depth)) ^ bits_of(wide));
  for (uint32_t half = 0; half < 2; half++) {
    if (half == 1 && depth % 128 == 127 && round % 100 == 0)
      printf("round %" PRIu32 " depth %" PRIu32 "\n", round, depth);
    uint64_t below = 0;
    if (half == 1) below = depth == depth_max ? round : even_level(depth + 1, round, on_stack);
    halves += below;
  }
  same("caller's stack slot", of_caller[1], depth - 1);
  same("f64 local", bits_of(wide), bits_of(double_of(depth)));
  same("stack slot", on_stack[0], large_of(depth));
  return mix(halves, mark);
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 4000);
  depth_max = argument_or(argc, argv, 2, 400);
  uint64_t total = 0, expected = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    uint64_t top[2] = {0, 0};
    total = mix(total, odd_level(1, round, top));

    uint64_t marks = round;
    for (uint32_t depth = depth_max; depth >= 1; depth--) marks = mix(marks, level_mark(depth));
    expected = mix(expected, marks);
    same("checksum of the round", total, expected);
  }
  printf("%" PRIu32 " rounds of depth %" PRIu32 ": %016" PRIx64 "\n", rounds, depth_max, total);
  return ok("recursion");
}
