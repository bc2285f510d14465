/*
 * copy-stream [SEED [MOST]]: proves that no byte of the standard streams is lost or doubled wherever
 * the guest was stopped.
 *
 * Copies stdin to stdout in pieces of random length, at most MOST bytes (default 5000), and keeps a
 * running checksum of what it read. Then it writes a newline, the bytes and the checksum.
 */
#include <unistd.h>

#include "self-check.h"

static uint32_t state;

static uint32_t below(uint32_t bound) {
  state = state * 1664525 + 1013904223;
  return (uint32_t)(((uint64_t)state * bound) >> 32);
}

int main(int argc, char **argv) {
  begin();
  state = argument_or(argc, argv, 1, 1);
  uint32_t most = argument_or(argc, argv, 2, 5000);
  uint8_t *piece = malloc(most);
  uint64_t hash = 1, total = 0;
  for (;;) {
    ssize_t got = read(STDIN_FILENO, piece, 1 + below(most));
    if (got < 0) differs("read", (uint64_t)got, 0);
    if (got == 0) break;
    for (ssize_t at = 0; at < got; at++) hash = mix(hash, piece[at]);
    total += (uint64_t)got;
    for (ssize_t at = 0; at < got;) {
      uint32_t length = 1 + below((uint32_t)(got - at));
      ssize_t put = write(STDOUT_FILENO, piece + at, length);
      if (put <= 0) differs("write", (uint64_t)put, length);
      at += put;
    }
  }
  printf("\n%" PRIu64 " bytes, %016" PRIx64 "\n", total, hash);
  return ok("copy-stream");
}
