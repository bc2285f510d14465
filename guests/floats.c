/*
 * floats [ROUNDS]: proves that f32 and f64 values come back bit by bit: NaN payloads and signs,
 * signalling NaNs, both zeros, denormals, infinities.
 *
 * The values are held in locals across calls, stored again, and compared as integers. A series of
 * additions and divisions is also run twice, once with calls to the host in it and once without.
 */
#include "self-check.h"

#define DOUBLES 12
#define SINGLES 12

/* Volatile, so that the compiler can't know what the locals hold. */
static volatile uint64_t double_bits[DOUBLES] = {
    UINT64_C(0x0000000000000000), UINT64_C(0x8000000000000000), /* both zeros */
    UINT64_C(0x7ff8000000000000), UINT64_C(0xfff8000000000001), /* quiet NaNs */
    UINT64_C(0x7ff0000000000001), UINT64_C(0xfff4dead0000beef), /* signalling NaNs */
    UINT64_C(0x7fffffffffffffff), UINT64_C(0x0000000000000001), /* all payload; least denormal */
    UINT64_C(0x800fffffffffffff), UINT64_C(0x7ff0000000000000), /* denormal; infinity */
    UINT64_C(0xfff0000000000000), UINT64_C(0x3ff0000000000001),
};
static volatile uint32_t single_bits[SINGLES] = {
    0x00000000, 0x80000000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xffa0beef,
    0x7fffffff, 0x00000001, 0x807fffff, 0x7f800000, 0xff800000, 0x3f800001,
};

static double load_double(uint32_t at) {
  uint64_t bits = double_bits[at % DOUBLES];
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static float load_single(uint32_t at) {
  uint32_t bits = single_bits[at % SINGLES];
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static uint64_t bits_of_double(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
static uint32_t bits_of_single(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static volatile uint64_t work_done;

/* Something to do while the floats wait in the caller's locals. */
static CALL void work(uint32_t round, int print) {
  for (uint32_t turn = 0; turn < 200; turn++) work_done = mix(work_done, turn);
  if (print) printf("round %" PRIu32 "\n", round);
}

static CALL void hold(double a, double b, double c, float d, float e, float f, uint32_t round) {
  int print = round % 2000 == 0;
  work(round, print);
  same("first f64", bits_of_double(a), double_bits[round % DOUBLES]);
  same("first f32", bits_of_single(d), single_bits[round % SINGLES]);
  work(round, 0);
  same("second f64", bits_of_double(b), double_bits[(round + 1) % DOUBLES]);
  same("second f32", bits_of_single(e), single_bits[(round + 1) % SINGLES]);
  work(round, 0);
  same("third f64", bits_of_double(c), double_bits[(round + 5) % DOUBLES]);
  same("third f32", bits_of_single(f), single_bits[(round + 5) % SINGLES]);
}

/* The logistic map is chaotic: one wrong bit early changes every digit of the end. */
static CALL double series(uint32_t rounds, int print) {
  double x = 0.123456789;
  float y = 0.75f;
  for (uint32_t round = 0; round < rounds; round++) {
    x = 3.9999 * x * (1.0 - x);
    y = (y + (float)x) / 1.7f;
    x = (x + (double)y / 1e9) * 0.999;
    if (print && round % 20000 == 0)
      printf("series %" PRIu32 ": %016" PRIx64 " %08" PRIx32 "\n", round, bits_of_double(x),
             bits_of_single(y));
  }
  return x + (double)y;
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 20000);
  for (uint32_t round = 0; round < rounds; round++)
    hold(load_double(round), load_double(round + 1), load_double(round + 5), load_single(round),
         load_single(round + 1), load_single(round + 5), round);
  double with_host_calls = series(rounds * 10, 1);
  same("series", bits_of_double(with_host_calls), bits_of_double(series(rounds * 10, 0)));
  for (uint32_t at = 0; at < DOUBLES; at++)
    printf("%016" PRIx64 " %08" PRIx32 "\n", bits_of_double(load_double(at)),
           bits_of_single(load_single(at)));
  return ok("floats");
}
