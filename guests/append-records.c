/*
 * append-records [RECORDS]: appends numbered records to a log, one write each, and trusts that what it
 * wrote is written once: it never looks how long the log is.
 *
 * Beside it, it adds up in place in a second file, and replaces a third one every few records, as careful
 * programs do: written anew under another name, then renamed. At the end it reads all three. It needs a
 * directory at /data that is rolled back (`--dir HOST::/data::rollback`); in any other one, a run that was
 * killed leaves records behind that are written again.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "self-check.h"

#define RECORD 24
#define REPLACED_EVERY 8

static int open_or_fail(const char *path, int flags) {
  int fd = open(path, flags, 0644);
  if (fd < 0) {
    perror(path);
    exit(2);
  }
  return fd;
}

static void record_of(uint32_t number, char record[RECORD + 1]) {
  snprintf(record, RECORD + 1, "record %016" PRIu32 "\n", number);
}

/* The third file says how many records there are, in as many lines as they have been replaced. */
static void replace_status(uint32_t count) {
  int fd = open_or_fail("/data/status.new", O_CREAT | O_EXCL | O_WRONLY);
  char line[32];
  int length = snprintf(line, sizeof line, "%" PRIu32 " records\n", count);
  same("bytes of status", (uint64_t)write(fd, line, (size_t)length), (uint64_t)length);
  close(fd);
  same("renaming status", (uint64_t)rename("/data/status.new", "/data/status"), 0);
}

/* Some work between the records, so that a guest is killed there, too. */
static CALL uint64_t work(uint64_t hash, uint32_t number) {
  for (uint32_t step = 0; step < 20000; step++) hash = mix(hash, number + step);
  return hash;
}

int main(int argc, char **argv) {
  begin();
  uint32_t records = argument_or(argc, argv, 1, 400);

  int log = open_or_fail("/data/log", O_CREAT | O_TRUNC | O_WRONLY | O_APPEND);
  int sum = open_or_fail("/data/sum", O_CREAT | O_TRUNC | O_RDWR);
  uint64_t total = 0, hash = 1;
  same("first sum", (uint64_t)pwrite(sum, &total, sizeof total, 0), sizeof total);

  for (uint32_t number = 0; number < records; number++) {
    char record[RECORD + 1];
    record_of(number, record);
    same("bytes of a record", (uint64_t)write(log, record, RECORD), RECORD);
    hash = work(hash, number);
    same("reading the sum", (uint64_t)pread(sum, &total, sizeof total, 0), sizeof total);
    total += number;
    same("writing the sum", (uint64_t)pwrite(sum, &total, sizeof total, 0), sizeof total);
    if (number % REPLACED_EVERY == 0) replace_status(number + 1);
    if (number % 100 == 99) printf("%" PRIu32 " records so far\n", number + 1);
  }
  replace_status(records);
  close(log);

  log = open_or_fail("/data/log", O_RDONLY);
  for (uint32_t number = 0; number < records; number++) {
    char want[RECORD + 1], got[RECORD];
    record_of(number, want);
    same("bytes read", (uint64_t)read(log, got, RECORD), RECORD);
    if (memcmp(got, want, RECORD) != 0) differs("record", (uint64_t)strtoul(got + 7, NULL, 10), number);
  }
  char rest;
  same("bytes after the last record", (uint64_t)read(log, &rest, 1), 0);
  same("reading the sum", (uint64_t)pread(sum, &total, sizeof total, 0), sizeof total);
  same("sum", total, (uint64_t)records * (records - 1) / 2);
  struct stat status;
  same("new status left", (uint64_t)stat("/data/status.new", &status), (uint64_t)-1);
  printf("%" PRIu32 " records, checksum %016" PRIx64 "\n", records, hash);
  return ok("append-records");
}
