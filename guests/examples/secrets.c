/*
 * A guest that holds a key of its own, which is in no checkpoint, and a token of its user's, which the host
 * gives it again after a restart.
 *
 * Usage: secrets [rounds]. With --env-secret TOKEN it uses the token, too; without, it sees that there is
 * none. Prints a line a round, then `ok secrets`, and ends with status 1 where something differs.
 */
#include "../self-check.h"

#include "stasis.h"

#define KEY_WORDS 16
#define TOKEN_BYTES 64
#define RANGE 68
#define NOENT 44
#define FAULT 21

static uint64_t key[KEY_WORDS];
static char token[TOKEN_BYTES];
static uint64_t made_in;

static CALL uint64_t generation(void) {
  uint64_t now = 0;
  same("asking for the generation", (uint64_t)stasis_generation(&now), 0);
  return now;
}

/* A key as it would be fetched from somewhere; fetched anew when the guest was brought back meanwhile. */
static CALL void make_key(void) {
  uint64_t before, after;
  do {
    uint64_t state = 88172645463325252u;
    before = generation();
    for (int at = 0; at < KEY_WORDS; at++) key[at] = next(&state);
    after = generation();
  } while (after != before);
  made_in = after;
}

/* Whether the key stands there; the guest may be stopped and brought back between any two steps. */
static CALL int key_stands(void) {
  for (;;) {
    uint64_t before = generation(), state = 88172645463325252u, lost = 0, zero = 0;
    for (int at = 0; at < KEY_WORDS; at++) {
      lost |= key[at] ^ next(&state);
      zero |= key[at];
    }
    if (generation() != before) continue;
    if (before == made_in) {
      same("key in the run that made it", lost, 0);
      return 1;
    }
    same("key after a restart", zero, 0);
    return 0;
  }
}

static CALL void check_token(const char *variable) {
  if (variable == NULL) {
    same("a secret that was not given", (uint64_t)-stasis_secret_read("TOKEN", 5, token, 64), NOENT);
    return;
  }
  uint64_t before;
  int differ;
  do {
    before = generation();
    differ = strcmp(variable, token) != 0 || token[0] == 0;
  } while (generation() != before);
  same("token and variable", (uint64_t)differ, 0);
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 8);
  same("a place outside of memory", (uint64_t)stasis_secret((void *)-8, 16), FAULT);
  same("declaring the key", (uint64_t)stasis_secret(key, sizeof key), 0);
  make_key();
  const char *variable = getenv("TOKEN");
  if (variable != NULL) {
    same("room for a secret", (uint64_t)-stasis_secret_read("TOKEN", 5, token, 1), RANGE);
    if (stasis_secret_read("TOKEN", 5, token, sizeof token) <= 0) differs("token", 0, 1);
  }
  for (uint32_t round = 0; round < rounds; round++) {
    if (!key_stands()) make_key();
    check_token(variable);
    printf("round %" PRIu32 "\n", round);
  }
  same("taking it back", (uint64_t)stasis_secret_end(key, sizeof key), 0);
  return ok("secrets");
}
