/*
 * conversions [ROUNDS]: proves that the instructions that widen integers in place (i32.extend8_s
 * and its kin) and convert floats without trapping (i64.trunc_sat_f64_s and its kin) are carried.
 *
 * Built with -msign-ext and -mnontrapping-fptoint; compared with shifts and with comparisons.
 */
#include "self-check.h"

static CALL int32_t widen_8(uint32_t bits) { return (int8_t)bits; }
static CALL int32_t widen_16(uint32_t bits) { return (int16_t)bits; }
static CALL int64_t widen_32(uint64_t bits) { return (int32_t)bits; }

static int64_t widen_by_shift(uint64_t bits, int width) {
  uint64_t sign = UINT64_C(1) << (width - 1);
  return (int64_t)(((bits & (2 * sign - 1)) ^ sign) - sign);
}

static CALL int32_t to_i32(double value) {
  return __builtin_wasm_trunc_saturate_s_i32_f64(value);
}
static CALL uint32_t to_u32(float value) {
  return (uint32_t)__builtin_wasm_trunc_saturate_u_i32_f32(value);
}
static CALL int64_t to_i64(double value) {
  return __builtin_wasm_trunc_saturate_s_i64_f64(value);
}

static int32_t to_i32_by_comparing(double value) {
  if (value != value) return 0;
  if (value <= -2147483648.0) return INT32_MIN;
  if (value >= 2147483647.0) return INT32_MAX;
  return (int32_t)value;
}
static uint32_t to_u32_by_comparing(float value) {
  if (!(value > 0)) return 0;
  if (value >= 4294967296.0f) return UINT32_MAX;
  return (uint32_t)value;
}
static int64_t to_i64_by_comparing(double value) {
  if (value != value) return 0;
  if (value < -9223372036854775808.0) return INT64_MIN;
  if (value >= 9223372036854775808.0) return INT64_MAX;
  return (int64_t)value;
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 1500000);
  uint64_t random = 21, hash = 0;
  uint32_t saturated = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    uint64_t bits = next(&random);
    double wide;
    float narrow;
    uint32_t low = (uint32_t)bits;
    memcpy(&wide, &bits, sizeof wide);
    memcpy(&narrow, &low, sizeof narrow);
    /* Random bits are mostly huge or tiny; these are near the borders of the integers. */
    if (round % 2) wide = (double)(int64_t)bits * (round % 4 == 1 ? 1.01 : 1.0 / 4294967296.0);
    if (round % 2) narrow = (float)low * 1.01f;

    same("8 bits", (uint64_t)widen_8(low), (uint64_t)widen_by_shift(bits, 8));
    same("16 bits", (uint64_t)widen_16(low), (uint64_t)widen_by_shift(bits, 16));
    same("32 bits", (uint64_t)widen_32(bits), (uint64_t)widen_by_shift(bits, 32));
    int32_t i32 = to_i32(wide);
    int64_t i64 = to_i64(wide);
    uint32_t u32 = to_u32(narrow);
    same("i32", (uint64_t)i32, (uint64_t)to_i32_by_comparing(wide));
    same("i64", (uint64_t)i64, (uint64_t)to_i64_by_comparing(wide));
    same("u32", u32, to_u32_by_comparing(narrow));
    saturated += i32 == INT32_MAX || i64 == INT64_MIN || u32 == UINT32_MAX;
    hash = mix(hash, (uint64_t)i64 ^ (uint32_t)i32 ^ u32);
    if (round % 100000 == 0) printf("round %" PRIu32 ": %016" PRIx64 "\n", round, hash);
  }
  if (saturated == 0) differs("saturated values", saturated, 1);
  printf("%" PRIu32 " rounds: %016" PRIx64 "\n", rounds, hash);
  return ok("conversions");
}
