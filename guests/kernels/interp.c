/*
 * interp [N]: a register machine in one loop with one switch runs a program that adds up the steps
 * of the Collatz sequences of the numbers below N (default 400,000). Hardly foreseeable branches.
 */
#include "kernel.h"

enum op {
  SET, COPY, ADD_NUMBER, TRIPLE_PLUS_ONE, HALVE,
  JUMP, JUMP_IF_ODD, JUMP_IF_ONE, JUMP_IF_LESS, END
};

/* Registers of the program. */
enum { NUMBER, VALUE, STEPS, LIMIT, REGISTERS };

/* Where the jumps lead: indices into `program`. */
enum { NEXT_NUMBER = 1, STEP = 2, ODD = 6, STEPPED = 7, DONE = 9 };

static const struct instruction {
  uint8_t op, left, right;
  uint16_t operand;
} program[] = {
    {SET, NUMBER, 0, 1},
    /* NEXT_NUMBER */ {COPY, VALUE, NUMBER, 0},
    /* STEP */ {JUMP_IF_ONE, VALUE, 0, DONE},
    {JUMP_IF_ODD, VALUE, 0, ODD},
    {HALVE, VALUE, 0, 0},
    {JUMP, 0, 0, STEPPED},
    /* ODD */ {TRIPLE_PLUS_ONE, VALUE, 0, 0},
    /* STEPPED */ {ADD_NUMBER, STEPS, 0, 1},
    {JUMP, 0, 0, STEP},
    /* DONE */ {ADD_NUMBER, NUMBER, 0, 1},
    {JUMP_IF_LESS, NUMBER, LIMIT, NEXT_NUMBER},
    {END, 0, 0, 0},
};

static CALL uint64_t run(const struct instruction *code, uint64_t limit) {
  uint64_t registers[REGISTERS] = {[LIMIT] = limit};
  for (const struct instruction *at = code;;) {
    uint64_t *left = &registers[at->left];
    int jump = 0;
    switch ((enum op)at->op) {
      case SET: *left = at->operand; break;
      case COPY: *left = registers[at->right]; break;
      case ADD_NUMBER: *left += at->operand; break;
      case TRIPLE_PLUS_ONE: *left = *left * 3 + 1; break;
      case HALVE: *left /= 2; break;
      case JUMP: jump = 1; break;
      case JUMP_IF_ODD: jump = *left % 2 == 1; break;
      case JUMP_IF_ONE: jump = *left == 1; break;
      case JUMP_IF_LESS: jump = *left < registers[at->right]; break;
      case END: return registers[STEPS];
    }
    at = jump ? code + at->operand : at + 1;
  }
}

int main(int argc, char **argv) {
  return print_checksum(run(program, size_or(argc, argv, 400000)));
}
