/*
 * sleeping-poll [MILLISECONDS]: proves that a sleep which was stopped in the middle goes on for
 * what was left of it: never shorter in total than was asked, by the guest's own clock.
 *
 * It sleeps (default 40 ms a time) in the four ways that C has for it, twice each.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "self-check.h"

static CALL uint64_t now_ns(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) differs("clock_gettime", (uint64_t)errno, 0);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns) {
  return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

static CALL int sleep_nanosleep(uint64_t ns) {
  struct timespec ask = timespec_of(ns);
  return nanosleep(&ask, NULL);
}
static CALL int sleep_relative(uint64_t ns) {
  struct timespec ask = timespec_of(ns);
  return clock_nanosleep(CLOCK_MONOTONIC, 0, &ask, NULL);
}
static CALL int sleep_until(uint64_t ns) {
  struct timespec ask = timespec_of(now_ns() + ns);
  return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ask, NULL);
}
static CALL int sleep_poll(uint64_t ns) {
  struct pollfd nothing = {.fd = -1};
  return poll(&nothing, 0, (int)(ns / 1000000));
}

static const struct way {
  const char *name;
  int (*sleep)(uint64_t ns);
} ways[] = {
    {"nanosleep", sleep_nanosleep},
    {"clock_nanosleep", sleep_relative},
    {"clock_nanosleep until", sleep_until},
    {"poll", sleep_poll},
};

int main(int argc, char **argv) {
  begin();
  uint64_t ask_ns = (uint64_t)argument_or(argc, argv, 1, 40) * 1000000;
  uint64_t start = now_ns(), asked = 0;
  for (int time = 0; time < 2; time++)
    for (size_t at = 0; at < sizeof ways / sizeof *ways; at++) {
      uint64_t before = now_ns();
      same(ways[at].name, (uint64_t)ways[at].sleep(ask_ns), 0);
      uint64_t slept = now_ns() - before;
      if (slept < ask_ns) differs("ns slept", slept, ask_ns);
      asked += ask_ns;
      printf("%s: %" PRIu64 " ms\n", ways[at].name, ask_ns / 1000000);
    }
  uint64_t total = now_ns() - start;
  if (total < asked) differs("ns slept in total", total, asked);
  forget();
  return ok("sleeping-poll");
}
