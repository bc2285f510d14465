/*
 * multi-value [ROUNDS]: proves that functions with several results come back, while they are
 * active and with results of earlier calls waiting.
 *
 * Built with clang's experimental ABI, in which a struct is returned as one result a member.
 */
#include "self-check.h"

struct division {
  uint64_t quotient;
  uint32_t remainder;
  double ratio;
};

static volatile uint32_t calls;

static CALL struct division divide(uint64_t number, uint32_t by) {
  if (calls++ % 400000 == 0) printf("call %" PRIu32 "\n", calls - 1);
  return (struct division){number / by, (uint32_t)(number % by), (double)number / by};
}

/* Euclid's algorithm, extended: g = a * x + b * y. */
struct combination {
  int64_t g, x, y;
};

static CALL struct combination combine(int64_t a, int64_t b) {
  if (b == 0) return (struct combination){a, 1, 0};
  struct division step = divide((uint64_t)a, (uint32_t)b);
  struct combination below = combine(b, step.remainder);
  return (struct combination){below.g, below.y, below.x - (int64_t)step.quotient * below.y};
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 400000);
  uint64_t random = 5, hash = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    int64_t a = (int64_t)(next(&random) % 1000000000) + 1;
    int64_t b = (int64_t)(next(&random) % 1000000) + 1;
    struct division first = divide((uint64_t)a, (uint32_t)b);
    struct combination result = combine(a, b);
    same("quotient and remainder", first.quotient * (uint64_t)b + first.remainder, (uint64_t)a);
    if (first.ratio != (double)a / (double)b) differs("ratio", first.quotient, first.remainder);
    same("a * x + b * y", (uint64_t)(a * result.x + b * result.y), (uint64_t)result.g);
    same("a is a multiple", (uint64_t)(a % result.g), 0);
    same("b is a multiple", (uint64_t)(b % result.g), 0);
    hash = mix(hash, (uint64_t)result.g);
  }
  printf("%" PRIu32 " pairs, %" PRIu32 " divisions: %016" PRIx64 "\n", rounds, calls, hash);
  return ok("multi-value");
}
