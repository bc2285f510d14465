/*
 * tail-calls [LETTERS]: proves that a chain of tail calls (return_call, return_call_indirect) comes
 * back, and is still a chain that needs no stack: it is a hundred times longer than one could be.
 *
 * A machine of three states reads a sequence of letters; each state ends by calling the next one.
 * A loop that does the same counts along. Built with -mtail-call.
 */
#include "self-check.h"

#define TAIL __attribute__((musttail)) return

static uint32_t words, longest;

/* Letter `at` of the text: 0 is a space, 1 to 3 are letters. */
static uint32_t letter(uint32_t at) { return (uint32_t)(mix(at, 77) >> 20) % 4; }

typedef uint32_t (*state)(uint32_t at, uint32_t end, uint32_t length, uint64_t hash);

static CALL uint32_t between(uint32_t at, uint32_t end, uint32_t length, uint64_t hash);
static CALL uint32_t inside(uint32_t at, uint32_t end, uint32_t length, uint64_t hash);
static CALL uint32_t after(uint32_t at, uint32_t end, uint32_t length, uint64_t hash);

static state volatile state_after = after;

static CALL uint32_t between(uint32_t at, uint32_t end, uint32_t length, uint64_t hash) {
  if (at == end) return (uint32_t)(hash ^ hash >> 32);
  if (letter(at) == 0) TAIL between(at + 1, end, 0, mix(hash, length));
  TAIL inside(at + 1, end, 1, hash);
}

static CALL uint32_t inside(uint32_t at, uint32_t end, uint32_t length, uint64_t hash) {
  if (at == end || letter(at) == 0) {
    state next_state = state_after;
    TAIL next_state(at, end, length, mix(hash, at));
  }
  TAIL inside(at + 1, end, length + 1, hash);
}

static CALL uint32_t after(uint32_t at, uint32_t end, uint32_t length, uint64_t hash) {
  words++;
  if (length > longest) longest = length;
  if (words % 100000 == 0) printf("word %" PRIu32 " ends at %" PRIu32 "\n", words, at);
  TAIL between(at, end, length, hash);
}

int main(int argc, char **argv) {
  begin();
  uint32_t letters = argument_or(argc, argv, 1, 6000000);
  uint32_t hash = between(0, letters, 0, 1);

  uint32_t words_by_loop = 0, longest_by_loop = 0, length = 0;
  for (uint32_t at = 0; at <= letters; at++) {
    if (at < letters && letter(at) != 0) {
      length++;
    } else if (length > 0) {
      words_by_loop++;
      if (length > longest_by_loop) longest_by_loop = length;
      length = 0;
    }
  }
  same("words", words, words_by_loop);
  same("longest word", longest, longest_by_loop);
  printf("%" PRIu32 " words, the longest of %" PRIu32 " letters: %08" PRIx32 "\n", words, longest,
         hash);
  return ok("tail-calls");
}
