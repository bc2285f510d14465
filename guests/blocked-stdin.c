/*
 * blocked-stdin [LINES]: proves that a guest which waits for input comes back waiting, and that no
 * byte of the input is lost or seen twice.
 *
 * Reads LINES lines (default 10), then expects the end. Each line starts with its number, from 1,
 * and a space; the guest checks the number and echoes the line with a running checksum.
 */
#include <unistd.h>

#include "self-check.h"

int main(int argc, char **argv) {
  begin();
  uint32_t lines = argument_or(argc, argv, 1, 10);
  char line[256];
  uint64_t hash = 1;
  for (uint32_t number = 1; number <= lines; number++) {
    if (fgets(line, sizeof line, stdin) == NULL) differs("lines before the end", number - 1, lines);
    char *end;
    same("number of the line", strtoul(line, &end, 10), number);
    same("space after the number", (uint8_t)*end, ' ');
    for (char *at = line; *at != '\0'; at++) hash = mix(hash, (uint8_t)*at);
    line[strcspn(line, "\n")] = '\0';
    printf("%016" PRIx64 " %s\n", hash, line);
  }
  char more;
  same("bytes after the last line", (uint64_t)read(STDIN_FILENO, &more, 1), 0);
  same("lines after the last line", fgets(line, sizeof line, stdin) != NULL, 0);
  return ok("blocked-stdin");
}
