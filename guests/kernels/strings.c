/*
 * strings [N]: writes and parses N lines (default 400,000) of comma-separated fields: whole
 * numbers, decimal numbers, words. The C library's printf, strtod and strtok: many calls, small loops.
 */
#include "kernel.h"

int main(int argc, char **argv) {
  uint32_t lines = size_or(argc, argv, 400000);
  uint64_t random = 6, hash = lines;
  for (uint32_t line = 0; line < lines; line++) {
    char text[256], *rest;
    uint64_t whole = next(&random);
    double decimal = (double)(whole >> 11) / 1024.0;
    snprintf(text, sizeof text, "%" PRIu64 ",%.6f,word-%05u,%x,%-8s|", whole, decimal,
             (unsigned)(whole % 100000), (unsigned)whole, "end");
    char *field = strtok_r(text, ",", &rest);
    for (; field != NULL; field = strtok_r(NULL, ",", &rest)) {
      char *end;
      double value = strtod(field, &end);
      hash = mix(hash, end == field ? strlen(field) : (uint64_t)value);
      for (char *at = field; *at != '\0'; at++) hash = hash * 31 + (uint8_t)*at;
    }
  }
  return print_checksum(hash);
}
