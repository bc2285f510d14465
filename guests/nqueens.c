/*
 * nqueens [N]: a long computation that does nothing but compute. Proves that a recursion with
 * loops in it, and counters in locals and in memory, come back in the middle of the work.
 *
 * It counts the ways to put N queens on a board of N x N (default 10, at most 12) the slow way:
 * it makes every permutation and looks at the diagonals of the finished board. N = 12 means
 * 479 million boards, some seconds of work. It prints a line for each place of the first queen.
 */
#include "self-check.h"

#define SIZE_MAX_QUEENS 12

/* The number of solutions for boards of 0 to 12; OEIS A000170. */
static const uint32_t known[SIZE_MAX_QUEENS + 1] = {1,  1,   0,   0,    2,    10,  4,
                                                    40, 92, 352, 724, 2680, 14200};

static int column_of[SIZE_MAX_QUEENS];
static uint64_t boards;

static int is_solution(int size) {
  uint32_t rising = 0, falling = 0;
  for (int row = 0; row < size; row++) {
    uint32_t up = 1u << (row + column_of[row]);
    uint32_t down = 1u << (row - column_of[row] + SIZE_MAX_QUEENS);
    if ((rising & up) | (falling & down)) return 0;
    rising |= up;
    falling |= down;
  }
  return 1;
}

/* Counts the solutions that keep the first `row` queens where they are. */
static CALL uint32_t place(int row, int size) {
  if (row == size) {
    boards++;
    return (uint32_t)is_solution(size);
  }
  uint32_t found = 0;
  for (int other = row; other < size; other++) {
    int column = column_of[other];
    column_of[other] = column_of[row];
    column_of[row] = column;
    found += place(row + 1, size);
    column_of[row] = column_of[other];
    column_of[other] = column;
  }
  return found;
}

int main(int argc, char **argv) {
  begin();
  int size = (int)argument_or(argc, argv, 1, 10);
  if (size < 1 || size > SIZE_MAX_QUEENS) {
    fprintf(stderr, "usage: nqueens [1..%d]\n", SIZE_MAX_QUEENS);
    return 2;
  }
  uint32_t total = 0, on_the_left = 0;
  uint64_t boards_expected = 1;
  for (int n = 2; n <= size; n++) boards_expected *= (uint64_t)n;

  for (int first = 0; first < size; first++) {
    for (int row = 0; row < size; row++) column_of[row] = (first + row) % size;
    uint32_t found = place(1, size);
    total += found;
    if (first < size / 2) on_the_left += found;
    printf("first queen in column %d: %" PRIu32 " solutions, %" PRIu64 " boards so far\n",
           first + 1, found, boards);
  }
  /* The mirror image of a solution is a solution. */
  if (size % 2 == 0) same("solutions on the left half", on_the_left * 2, total);
  same("boards", boards, boards_expected);
  same("solutions", total, known[size]);
  printf("%d queens: %" PRIu32 " solutions\n", size, total);
  return ok("nqueens");
}
