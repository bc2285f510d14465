/*
 * gemm [N]: product of two N x N matrices of f64 (default 800), row by row. Floating point in
 * three nested loops, in a function called once.
 */
#include "kernel.h"

int main(int argc, char **argv) {
  uint32_t size = size_or(argc, argv, 800);
  double *a = malloc(sizeof *a * size * size);
  double *b = malloc(sizeof *b * size * size);
  double *c = calloc((size_t)size * size, sizeof *c);
  if (a == NULL || b == NULL || c == NULL) return 2;
  uint64_t random = 2;
  for (uint32_t at = 0; at < size * size; at++) {
    a[at] = (double)(next(&random) % 1000);
    b[at] = (double)(next(&random) % 1000);
  }
  for (uint32_t row = 0; row < size; row++)
    for (uint32_t inner = 0; inner < size; inner++)
      for (uint32_t column = 0; column < size; column++)
        c[row * size + column] += a[row * size + inner] * b[inner * size + column];
  /* The products are whole numbers that an f64 holds exactly, whatever the order of additions. */
  uint64_t hash = size;
  for (uint32_t at = 0; at < size * size; at++) hash = mix(hash, (uint64_t)c[at]);
  return print_checksum(hash);
}
