/*
 * strings [ROUNDS]: proves that the C library comes back while it is at work: formatting and
 * parsing numbers, and above all qsort and bsearch while they call the guest's own function, which
 * calls the host.
 */
#include "self-check.h"

#define WORDS 400

static char text[WORDS][32];
static const char *words[WORDS];
static uint32_t comparisons;

static int compare(const void *left, const void *right) {
  if (++comparisons % 40000 == 0) printf("comparison %" PRIu32 "\n", comparisons);
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Words that are numbers with their own checksum behind: "0000000000000123:1a2b". */
static void make_words(uint64_t *random) {
  for (uint32_t at = 0; at < WORDS; at++) {
    uint64_t number = next(random) >> 20;
    snprintf(text[at], sizeof text[at], "%016" PRIu64 ":%04x", number,
             (unsigned)(mix(number, 1) & 0xffff));
    words[at] = text[at];
  }
}

static uint64_t check_sorted(void) {
  uint64_t before = 0, hash = 0;
  for (uint32_t at = 0; at < WORDS; at++) {
    uint64_t number = 0;
    unsigned sum = 0;
    same("fields in a word", (uint64_t)sscanf(words[at], "%" SCNu64 ":%x", &number, &sum), 2);
    same("checksum of a word", sum, mix(number, 1) & 0xffff);
    if (number < before) differs("order of the words", number, before);
    before = number;
    hash = mix(hash, number);
    const char **found = bsearch(&words[at], words, WORDS, sizeof *words, compare);
    if (found == NULL || strcmp(*found, words[at]) != 0) differs("word looked for", at, WORDS);
  }
  return hash;
}

static void check_decimal(uint64_t *random) {
  char buffer[64];
  double value = (double)(int64_t)next(random) / 1048576.0;
  snprintf(buffer, sizeof buffer, "%.17g", value);
  double parsed = strtod(buffer, NULL);
  uint64_t got, want;
  memcpy(&got, &parsed, sizeof got);
  memcpy(&want, &value, sizeof want);
  same("number printed and parsed", got, want);
  snprintf(buffer, sizeof buffer, "%a|%-12d|%+d", value, (int)(want & 0xffff), 7);
  char *rest;
  char *field = strtok_r(buffer, "|", &rest);
  if (strtod(field, NULL) != value) differs("hexadecimal number", got, want);
  field = strtok_r(NULL, "|", &rest);
  same("padded number", strtoul(field, NULL, 10), want & 0xffff);
  same("length of the padding", strlen(field), 12);
  same("signed number", (uint64_t)strcmp(rest, "+7"), 0);
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 60);
  uint64_t random = 17, hash = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    make_words(&random);
    qsort(words, WORDS, sizeof *words, compare);
    hash = mix(hash, check_sorted());
    for (uint32_t turn = 0; turn < 50; turn++) check_decimal(&random);
    if (round % 5 == 0) printf("round %" PRIu32 ": %016" PRIx64 "\n", round, hash);
  }
  printf("%" PRIu32 " rounds, %" PRIu32 " comparisons\n", rounds, comparisons);
  return ok("strings");
}
