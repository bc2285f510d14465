/*
 * echo-server [FILE]: proves that a listener comes back after a restore, and that a connection which
 * did not ends with an error and not with a wait for ever.
 *
 * Serves one connection after the other on descriptor 3. A request is a line:
 *
 *   echo TEXT   the answer is `N TEXT`, with the number of requests served so far, over all runs
 *   send BYTES  so many bytes `x`, then a newline
 *   quit        the answer is `bye`; the guest ends
 *
 * Writes a line for each connection: how many requests it had and how it ended. With FILE, that file must
 * be there: directories are found behind a listener. Started without a listener it checks that sockets are
 * refused as they should be.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "self-check.h"

static const int LISTENER = 3;
static uint32_t served;

static void without_listener(void) {
  char byte;
  int refused = accept(LISTENER, NULL, NULL) == -1 && (errno == EBADF || errno == ENOTSOCK);
  same("accept without a listener", (uint64_t)refused, 1);
  same("accept on stdin", accept(0, NULL, NULL) == -1 && errno == ENOTSOCK, 1);
  same("recv on stdin", recv(0, &byte, 1, 0) == -1 && errno == ENOTSOCK, 1);
  same("send on stdout", send(1, "", 1, 0) == -1 && errno == ENOTSOCK, 1);
  same("shutdown of stdout", shutdown(1, SHUT_RDWR) == -1 && errno == ENOTSOCK, 1);
}

static int send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, length, 0);
    if (sent < 0) return -1;
    bytes += sent;
    length -= (size_t)sent;
  }
  return 0;
}

/* A line without its newline; -1 when the connection broke, 0 at its end, else 1. */
static int receive_line(int fd, char *line, size_t size) {
  for (size_t at = 0; at + 1 < size; at++) {
    ssize_t got = recv(fd, line + at, 1, 0);
    if (got <= 0) return (int)got;
    if (line[at] == '\n') {
      line[at] = '\0';
      return 1;
    }
  }
  errno = EMSGSIZE;
  return -1;
}

/* As receive_line: 1 to go on. */
static int answer(int fd, const char *line, int *quit) {
  char text[600];
  if (strncmp(line, "echo ", 5) == 0) {
    int length = snprintf(text, sizeof text, "%" PRIu32 " %s\n", ++served, line + 5);
    return send_all(fd, text, (size_t)length) == 0 ? 1 : -1;
  }
  if (strncmp(line, "send ", 5) == 0) {
    served++;
    size_t bytes = strtoul(line + 5, NULL, 10);
    char *all = malloc(bytes + 1);
    memset(all, 'x', bytes);
    all[bytes] = '\n';
    int sent = send_all(fd, all, bytes + 1);
    free(all);
    return sent == 0 ? 1 : -1;
  }
  *quit = strcmp(line, "quit") == 0;
  return send_all(fd, *quit ? "bye\n" : "what?\n", *quit ? 4 : 6) == 0 ? 1 : -1;
}

static int serve(int fd) {
  char line[512];
  int quit = 0;
  int more;
  uint32_t before = served;
  while ((more = receive_line(fd, line, sizeof line)) > 0 && !quit) {
    more = answer(fd, line, &quit);
    if (more <= 0 || quit) break;
  }
  const char *end = more > 0 ? "quit" : more == 0 ? "end" : strerror(errno);
  printf("connection: %" PRIu32 " requests, %s\n", served - before, end);
  fflush(stdout);
  if (more < 0) {
    /* What is gone says so again, at once, in every way. */
    struct pollfd both = {.fd = fd, .events = POLLIN | POLLOUT};
    same("poll of a broken connection", poll(&both, 1, 60000) == 1, 1);
    char byte;
    same("recv of a broken connection", recv(fd, &byte, 1, 0) <= 0, 1);
  }
  same("close", (uint64_t)close(fd), 0);
  return !quit;
}

int main(int argc, char **argv) {
  begin();
  struct pollfd waiting = {.fd = LISTENER, .events = POLLIN};
  /* Asks without accepting: descriptor 3 may be a directory, or nothing. */
  if (poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLNVAL) != 0) {
    without_listener();
    return ok("echo-server");
  }
  if (argc > 1) {
    FILE *file = fopen(argv[1], "r");
    same("a file behind the listener", file != NULL, 1);
    fclose(file);
  }
  int connection;
  do {
    connection = accept(LISTENER, NULL, NULL);
    same("accept", connection >= 0, 1);
  } while (serve(connection));
  return ok("echo-server");
}
