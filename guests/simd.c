/*
 * simd [ROUNDS]: proves that v128 values come back, in locals that are live across calls and on
 * the operand stack of a call.
 *
 * The same sums are made with vectors and with scalars. Built with -msimd128.
 */
#include <wasm_simd128.h>

#include "self-check.h"

struct lanes {
  uint32_t lane[4];
};

static v128_t load(const struct lanes *from) { return wasm_v128_load(from); }

static volatile uint32_t calls;

static CALL v128_t vector_step(v128_t value, uint32_t round) {
  calls++;
  if (round % 100000 == 0) printf("round %" PRIu32 "\n", round);
  v128_t turned = wasm_v128_or(wasm_i32x4_shl(value, 7), wasm_u32x4_shr(value, 25));
  return wasm_i32x4_add(wasm_i32x4_mul(turned, wasm_i32x4_splat(0x9e3779b1)), wasm_i32x4_splat(7));
}

static uint32_t scalar_step(uint32_t value) { return (value << 7 | value >> 25) * 0x9e3779b1u + 7; }

static CALL v128_t both(v128_t a, v128_t b, uint32_t round) {
  return wasm_v128_xor(vector_step(a, round), vector_step(b, round));
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 1000000);
  struct lanes a = {{1, 2, 3, 4}}, b = {{50, 60, 70, 80}};
  v128_t left = load(&a), right = load(&b);
  v128_t doubles = wasm_f64x2_make(1.5, -0.0);
  for (uint32_t round = 1; round <= rounds; round++) {
    v128_t kept = left;
    left = wasm_i32x4_add(both(left, right, round), kept);
    right = vector_step(wasm_i8x16_swizzle(right, wasm_u8x16_const(4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
                                                                   14, 15, 0, 1, 2, 3)),
                        round);
    doubles = wasm_f64x2_add(doubles, wasm_f64x2_splat(0.25));

    struct lanes was = b;
    for (int lane = 0; lane < 4; lane++) {
      a.lane[lane] += scalar_step(a.lane[lane]) ^ scalar_step(was.lane[lane]);
      b.lane[lane] = scalar_step(was.lane[(lane + 1) % 4]);
    }
    struct lanes got;
    wasm_v128_store(&got, left);
    for (int lane = 0; lane < 4; lane++) same("lane on the left", got.lane[lane], a.lane[lane]);
    wasm_v128_store(&got, right);
    for (int lane = 0; lane < 4; lane++) same("lane on the right", got.lane[lane], b.lane[lane]);
  }
  if (wasm_f64x2_extract_lane(doubles, 0) != 1.5 + 0.25 * rounds) differs("f64 lane 0", 0, 1);
  if (wasm_f64x2_extract_lane(doubles, 1) != 0.25 * rounds) differs("f64 lane 1", 0, 1);
  same("calls", calls, rounds * 3);
  printf("%08" PRIx32 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 "\n", a.lane[0], a.lane[1],
         b.lane[2], b.lane[3]);
  return ok("simd");
}
