/*
 * changed-table [ROUNDS]: proves that a table which the guest has changed comes back changed. A
 * function pointer of C is a place in the table: here the functions behind the pointers are
 * swapped with table.get and table.set, and the pointers stay what they are.
 *
 * An array in memory says which function is where; each pointer is called and compared with it.
 */
#include "self-check.h"

#define FUNCTIONS 8

/* C has no word for a table, so the swap is written in assembler. */
__asm__(
    "  .tabletype __indirect_function_table, funcref\n"
    "  .globl table_swap\n"
    "  .type table_swap,@function\n"
    "  .section .text.table_swap,\"\",@\n"
    "table_swap:\n"
    "  .functype table_swap (i32, i32) -> ()\n"
    "  .local funcref\n"
    "  local.get 0\n"
    "  table.get __indirect_function_table\n"
    "  local.set 2\n"
    "  local.get 0\n"
    "  local.get 1\n"
    "  table.get __indirect_function_table\n"
    "  table.set __indirect_function_table\n"
    "  local.get 1\n"
    "  local.get 2\n"
    "  table.set __indirect_function_table\n"
    "  end_function\n");

/* Exchanges the functions behind two pointers. */
void table_swap(uint32_t left, uint32_t right);

#define FUNCTION(number) \
  static CALL uint64_t function_##number(uint64_t value) { return mix(value, 100 + number); }
FUNCTION(0)
FUNCTION(1)
FUNCTION(2)
FUNCTION(3)
FUNCTION(4)
FUNCTION(5)
FUNCTION(6)
FUNCTION(7)

typedef uint64_t (*function)(uint64_t);

/* Volatile, so that no call is made directly. */
static function volatile const pointers[FUNCTIONS] = {
    function_0, function_1, function_2, function_3,
    function_4, function_5, function_6, function_7,
};

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 200000);
  uint32_t behind[FUNCTIONS];
  for (uint32_t at = 0; at < FUNCTIONS; at++) behind[at] = at;

  uint64_t random = 3, value = 1;
  for (uint32_t round = 0; round < rounds; round++) {
    uint32_t left = next(&random) % FUNCTIONS, right = next(&random) % FUNCTIONS;
    table_swap((uint32_t)pointers[left], (uint32_t)pointers[right]);
    uint32_t was = behind[left];
    behind[left] = behind[right];
    behind[right] = was;
    for (uint32_t at = 0; at < FUNCTIONS; at++) {
      uint64_t got = pointers[at](value);
      same("function behind a pointer", got, mix(value, 100 + behind[at]));
      value = got;
    }
    if (round % 20000 == 0) {
      printf("round %" PRIu32 ": order", round);
      for (uint32_t at = 0; at < FUNCTIONS; at++) printf(" %" PRIu32, behind[at]);
      printf("\n");
    }
  }
  printf("%" PRIu32 " swaps: %016" PRIx64 "\n", rounds, value);
  return ok("changed-table");
}
