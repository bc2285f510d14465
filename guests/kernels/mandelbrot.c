/*
 * mandelbrot [SIDE]: the Mandelbrot set on SIDE x SIDE points (default 1200), up to 500 steps each.
 * Floating point in locals, a loop whose length nobody foresees, hardly any memory.
 */
#include "kernel.h"

#define STEPS_MAX 500

static CALL uint32_t steps_at(double real, double imaginary) {
  double x = 0, y = 0;
  uint32_t steps = 0;
  for (; steps < STEPS_MAX; steps++) {
    double xx = x * x, yy = y * y;
    if (xx + yy > 4.0) break;
    y = 2.0 * x * y + imaginary;
    x = xx - yy + real;
  }
  return steps;
}

int main(int argc, char **argv) {
  uint32_t side = size_or(argc, argv, 1200);
  uint64_t hash = side;
  for (uint32_t row = 0; row < side; row++)
    for (uint32_t column = 0; column < side; column++)
      hash = mix(hash, steps_at(-2.0 + 2.5 * column / side, -1.25 + 2.5 * row / side));
  return print_checksum(hash);
}
