/*
 * interpreter [LIMIT]: proves that the one big loop of an interpreter (a switch in a loop, all
 * state in locals, no calls for long stretches) can be stopped and brought back.
 *
 * A small stack machine runs a program that finds the primes below LIMIT (default 60000) by trial
 * division, and prints every 500th. Here the result is checked against a sieve.
 */
#include "self-check.h"

enum op {
  OP_PUSH, OP_LOAD, OP_STORE, OP_ADD, OP_MUL, OP_MOD, OP_LESS,
  OP_JUMP, OP_JUMP_IF_ZERO, OP_CALL_FOUND, OP_HALT
};

/* Variables of the program. */
enum { CANDIDATE, DIVISOR, LIMIT, VARIABLES };

static uint32_t found, sum;

static CALL void found_prime(uint32_t prime) {
  found++;
  sum = sum * 31 + prime;
  if (found % 500 == 0) printf("prime %" PRIu32 " is %" PRIu32 "\n", found, prime);
}

/* Where the program's jumps lead: indices into `program`. */
enum { NEXT_CANDIDATE = 4, NEXT_DIVISOR = 15, DIVIDE = 28, COUNT_UP = 44, END = 53 };

static const uint16_t program[] = {
    OP_PUSH, 2, OP_STORE, CANDIDATE,
    /* NEXT_CANDIDATE */ OP_LOAD, CANDIDATE, OP_LOAD, LIMIT, OP_LESS, OP_JUMP_IF_ZERO, END,
    OP_PUSH, 2, OP_STORE, DIVISOR,
    /* NEXT_DIVISOR */ OP_LOAD, CANDIDATE, OP_LOAD, DIVISOR, OP_LOAD, DIVISOR, OP_MUL, OP_LESS,
    OP_JUMP_IF_ZERO, DIVIDE, OP_CALL_FOUND, OP_JUMP, COUNT_UP,
    /* DIVIDE */ OP_LOAD, CANDIDATE, OP_LOAD, DIVISOR, OP_MOD, OP_JUMP_IF_ZERO, COUNT_UP,
    OP_LOAD, DIVISOR, OP_PUSH, 1, OP_ADD, OP_STORE, DIVISOR, OP_JUMP, NEXT_DIVISOR,
    /* COUNT_UP */ OP_LOAD, CANDIDATE, OP_PUSH, 1, OP_ADD, OP_STORE, CANDIDATE,
    OP_JUMP, NEXT_CANDIDATE,
    /* END */ OP_HALT,
};

/* Runs until OP_HALT; returns the number of steps taken. */
static CALL uint64_t run(const uint16_t *code, uint32_t limit) {
  uint32_t stack[16], variables[VARIABLES] = {0, 0, limit};
  uint32_t *top = stack;
  uint64_t steps = 0;
  for (const uint16_t *at = code;; steps++) {
    switch ((enum op)*at++) {
      case OP_PUSH: *top++ = *at++; break;
      case OP_LOAD: *top++ = variables[*at++]; break;
      case OP_STORE: variables[*at++] = *--top; break;
      case OP_ADD: top--; top[-1] += *top; break;
      case OP_MUL: top--; top[-1] *= *top; break;
      case OP_MOD: top--; top[-1] %= *top; break;
      case OP_LESS: top--; top[-1] = top[-1] < *top; break;
      case OP_JUMP: at = code + *at; break;
      case OP_JUMP_IF_ZERO: at = *--top == 0 ? code + *at : at + 1; break;
      case OP_CALL_FOUND: found_prime(variables[CANDIDATE]); break;
      case OP_HALT: return steps;
    }
  }
}

int main(int argc, char **argv) {
  begin();
  uint32_t limit = argument_or(argc, argv, 1, 60000);
  uint64_t steps = run(program, limit);
  uint32_t found_by_program = found, sum_by_program = sum;

  uint8_t *composite = calloc(limit, 1);
  if (composite == NULL) return 2;
  found = sum = 0;
  for (uint32_t number = 2; number < limit; number++) {
    if (composite[number]) continue;
    found++;
    sum = sum * 31 + number;
    for (uint64_t multiple = (uint64_t)number * number; multiple < limit; multiple += number)
      composite[multiple] = 1;
  }
  free(composite);
  same("primes", found_by_program, found);
  same("checksum of the primes", sum_by_program, sum);
  printf("%" PRIu32 " primes below %" PRIu32 " in %" PRIu64 " steps\n", found_by_program, limit,
         steps);
  return ok("interpreter");
}
