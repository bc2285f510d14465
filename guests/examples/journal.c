/*
 * The guest of docs/providers.md: appends numbered records to the journal that a provider keeps.
 *
 * Usage: journal [records] [microseconds to sleep after each].
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal.h"

int main(int argc, char **argv) {
  int records = argc > 1 ? atoi(argv[1]) : 100;
  int sleep_us = argc > 2 ? atoi(argv[2]) : 0;
  for (int i = 1; i <= records; i++) {
    char record[32];
    int length = snprintf(record, sizeof record, "record %d\n", i);
    int error = journal_append(record, (uint32_t)length);
    if (error != 0) {
      printf("differs: journal: got error %d, want 0\n", error);
      return 1;
    }
    if (sleep_us > 0) usleep((useconds_t)sleep_us);
  }
  printf("ok journal\n");
  return 0;
}
