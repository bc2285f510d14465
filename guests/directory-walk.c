/*
 * directory-walk [WALKS [FILES]]: proves that reading a directory goes on where it was, with no
 * name lost and none seen twice, also when directories are open inside directories.
 *
 * Needs a directory at /data. It makes /data/directory-walk with three directories of FILES files
 * each (default 150), and leaves them. The names are long, so that one walk takes many reads. The
 * order of names is the host's affair and is not printed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "self-check.h"

#define ROOT "/data/directory-walk"
#define DIRECTORIES 3
#define FILES_MAX 1000

static const char filler[] = "a-long-name-so-that-few-entries-fit-into-one-buffer-of-the-reader";

static _Noreturn void fail(const char *what) {
  perror(what);
  exit(2);
}

static void make_tree(uint32_t files) {
  char path[256];
  mkdir(ROOT, 0755);
  for (uint32_t directory = 0; directory < DIRECTORIES; directory++) {
    snprintf(path, sizeof path, ROOT "/%" PRIu32, directory);
    mkdir(path, 0755);
    for (uint32_t file = 0; file < files; file++) {
      snprintf(path, sizeof path, ROOT "/%" PRIu32 "/%" PRIu32 "-%s", directory, file, filler);
      int fd = open(path, O_CREAT | O_WRONLY, 0644);
      if (fd < 0) fail(path);
      close(fd);
    }
  }
}

static int is_dot(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* Walks one directory; returns how many files it saw, each exactly once. */
static CALL uint32_t walk_files(uint32_t walk, uint32_t directory, uint32_t files) {
  static uint8_t seen[DIRECTORIES][FILES_MAX];
  char path[64];
  snprintf(path, sizeof path, ROOT "/%" PRIu32, directory);
  DIR *open_directory = opendir(path);
  if (open_directory == NULL) fail(path);
  memset(seen[directory], 0, sizeof seen[directory]);
  uint32_t count = 0;
  for (struct dirent *entry; (entry = readdir(open_directory)) != NULL;) {
    if (is_dot(entry->d_name)) continue;
    char *end;
    unsigned long file = strtoul(entry->d_name, &end, 10);
    if (file >= files || *end != '-' || strcmp(end + 1, filler) != 0) differs("name", file, files);
    same("times a name was seen before", seen[directory][file], 0);
    same("type of the entry", entry->d_type, DT_REG);
    seen[directory][file] = 1;
    if (++count % 50 == 0)
      printf("walk %" PRIu32 ": %" PRIu32 " files of one directory\n", walk, count);
  }
  closedir(open_directory);
  return count;
}

int main(int argc, char **argv) {
  begin();
  uint32_t walks = argument_or(argc, argv, 1, 8);
  uint32_t files = argument_or(argc, argv, 2, 150);
  if (files > FILES_MAX) files = FILES_MAX;
  make_tree(files);
  for (uint32_t walk = 0; walk < walks; walk++) {
    DIR *root = opendir(ROOT);
    if (root == NULL) fail(ROOT);
    uint32_t directories = 0, seen = 0;
    for (struct dirent *entry; (entry = readdir(root)) != NULL;) {
      if (is_dot(entry->d_name)) continue;
      uint32_t directory = (uint32_t)strtoul(entry->d_name, NULL, 10);
      if (directory >= DIRECTORIES) differs("directory", directory, DIRECTORIES);
      same("directory seen before", seen >> directory & 1, 0);
      same("files in a directory", walk_files(walk, directory, files), files);
      seen |= 1u << directory;
      directories++;
    }
    closedir(root);
    same("directories", directories, DIRECTORIES);
  }
  printf("%" PRIu32 " walks of %" PRIu32 " files\n", walks, files * DIRECTORIES);
  return ok("directory-walk");
}
