/*
 * open-files [ROUNDS]: proves that open files come back where they were: at odd offsets, for
 * reading, for writing, for both, and for appending; a file opened twice keeps two offsets.
 *
 * Needs a directory at /data; it makes the files open-files-* there and leaves them. Bringing a
 * guest back doesn't bring back what a run that was killed wrote to files after the checkpoint.
 * So it writes as a careful program does: the same bytes to the same place, and a log that is cut
 * to the length it knows before more is appended.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "self-check.h"

#define RECORD 37
#define RECORDS_MAX 4096

static void record_of(uint32_t number, char record[RECORD]) {
  uint64_t seed = number + 1;
  for (int at = 0; at < RECORD; at++) record[at] = (char)('a' + next(&seed) % 26);
  record[RECORD - 1] = '\n';
}

static int open_or_fail(const char *path, int flags) {
  int fd = open(path, flags, 0644);
  if (fd < 0) {
    perror(path);
    exit(2);
  }
  return fd;
}

static void write_record(int fd, uint32_t number) {
  char record[RECORD];
  record_of(number, record);
  same("bytes written", (uint64_t)write(fd, record, RECORD), RECORD);
}

/* Reads record `number` in two odd pieces, so that the offset is often inside a record. */
static void read_record(int fd, uint32_t number) {
  char record[RECORD], got[RECORD];
  record_of(number, record);
  same("bytes read", (uint64_t)read(fd, got, 5), 5);
  same("bytes read", (uint64_t)read(fd, got + 5, RECORD - 5), RECORD - 5);
  if (memcmp(got, record, RECORD) != 0) differs("record read", number, number);
}

static void offset_is(const char *what, int fd, uint64_t offset) {
  same(what, (uint64_t)lseek(fd, 0, SEEK_CUR), offset);
}

static CALL uint64_t size_of(int fd) {
  struct stat status;
  same("status of the log", (uint64_t)fstat(fd, &status), 0);
  return (uint64_t)status.st_size;
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 600);
  if (rounds > RECORDS_MAX) rounds = RECORDS_MAX;

  int writer = open_or_fail("/data/open-files-records", O_CREAT | O_TRUNC | O_WRONLY);
  int reader = open_or_fail("/data/open-files-records", O_RDONLY);
  int second = open_or_fail("/data/open-files-records", O_RDONLY);
  int both = open_or_fail("/data/open-files-both", O_CREAT | O_TRUNC | O_RDWR);
  int log = open_or_fail("/data/open-files-log", O_CREAT | O_TRUNC | O_WRONLY | O_APPEND);
  int closed = open_or_fail("/data/open-files-both", O_RDONLY);
  close(closed); /* leaves a gap in the numbers */
  int after_gap = open_or_fail("/data/open-files-log", O_RDONLY);
  same("lowest free number", (uint64_t)after_gap, (uint64_t)closed);

  uint64_t second_at = 0, log_size = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    write_record(writer, round);
    offset_is("offset of the writer", writer, (uint64_t)(round + 1) * RECORD);

    if (round % 3 != 0) {
      read_record(reader, (uint32_t)(lseek(reader, 0, SEEK_CUR) / RECORD));
    }
    char piece[7];
    ssize_t count = read(second, piece, sizeof piece);
    for (ssize_t at = 0; at < count; at++) {
      char record[RECORD];
      record_of((uint32_t)((second_at + (uint64_t)at) / RECORD), record);
      same("byte of the second reader", (uint8_t)piece[at],
           (uint8_t)record[(second_at + (uint64_t)at) % RECORD]);
    }
    second_at += (uint64_t)count;
    offset_is("offset of the second reader", second, second_at);

    same("seek", (uint64_t)lseek(both, (off_t)round * 101, SEEK_SET), (uint64_t)round * 101);
    write_record(both, round ^ 1);
    same("seek back", (uint64_t)lseek(both, -RECORD, SEEK_CUR), (uint64_t)round * 101);
    read_record(both, round ^ 1);

    same("cutting the log", (uint64_t)ftruncate(log, (off_t)log_size), 0);
    write_record(log, round);
    log_size += RECORD;
    same("size of the log", size_of(log), log_size);
    read_record(after_gap, round);
    if (round % 50 == 0)
      printf("round %" PRIu32 ": offsets %d %d %d\n", round, (int)lseek(writer, 0, SEEK_CUR),
             (int)lseek(reader, 0, SEEK_CUR), (int)lseek(second, 0, SEEK_CUR));
  }

  same("seek to the start", (uint64_t)lseek(reader, 0, SEEK_SET), 0);
  for (uint32_t round = 0; round < rounds; round++) read_record(reader, round);
  char end;
  same("bytes after the end", (uint64_t)read(reader, &end, 1), 0);
  printf("%" PRIu32 " records\n", rounds);
  forget(); /* times of the log, from its status */
  return ok("open-files");
}
