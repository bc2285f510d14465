/*
 * jacobi [SWEEPS]: heat on a plate of 512 x 512 points, SWEEPS times over (default 1000). A stencil
 * of f64 additions over memory that doesn't fit the nearest cache.
 */
#include "kernel.h"

#define SIDE 512

static double plates[2][SIDE][SIDE];

int main(int argc, char **argv) {
  uint32_t sweeps = size_or(argc, argv, 1000);
  for (uint32_t at = 0; at < SIDE; at++) {
    plates[0][0][at] = plates[1][0][at] = 100.0;
    plates[0][at][0] = plates[1][at][0] = (double)at;
  }
  for (uint32_t sweep = 0; sweep < sweeps; sweep++) {
    double(*from)[SIDE] = plates[sweep % 2];
    double(*to)[SIDE] = plates[(sweep + 1) % 2];
    for (uint32_t y = 1; y < SIDE - 1; y++)
      for (uint32_t x = 1; x < SIDE - 1; x++)
        to[y][x] = 0.25 * (from[y - 1][x] + from[y + 1][x] + from[y][x - 1] + from[y][x + 1]);
  }
  uint64_t hash = sweeps;
  for (uint32_t y = 0; y < SIDE; y++)
    for (uint32_t x = 0; x < SIDE; x++) {
      uint64_t bits;
      memcpy(&bits, &plates[sweeps % 2][y][x], sizeof bits);
      hash = mix(hash, bits);
    }
  return print_checksum(hash);
}
