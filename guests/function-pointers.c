/*
 * function-pointers [ROUNDS]: proves that indirect calls come back while they are active: through
 * an array of functions, through tables of methods in structs, and through a chain of callbacks
 * in which each calls the next by pointer.
 *
 * What the pointers give is compared with a switch that makes the same choices without pointers.
 */
#include "self-check.h"

#define SHAPES 24
#define CHAIN_MAX 40

typedef uint64_t (*step)(uint64_t);

static CALL uint64_t add_step(uint64_t value) { return value + 12345; }
static CALL uint64_t rotate_step(uint64_t value) { return value << 13 | value >> 51; }
static CALL uint64_t mix_step(uint64_t value) { return mix(value, 99); }
static CALL uint64_t square_step(uint64_t value) { return value * value + 1; }

static const step steps[4] = {add_step, rotate_step, mix_step, square_step};

static uint64_t step_without_pointer(uint32_t which, uint64_t value) {
  switch (which) {
    case 0: return value + 12345;
    case 1: return value << 13 | value >> 51;
    case 2: return mix(value, 99);
    default: return value * value + 1;
  }
}

struct shape;
struct methods {
  const char *name;
  double (*area)(const struct shape *);
  void (*grow)(struct shape *, double factor);
  int64_t (*corners)(const struct shape *);
};
struct shape {
  const struct methods *methods;
  double width, height;
};

static double box_area(const struct shape *shape) { return shape->width * shape->height; }
static double triangle_area(const struct shape *shape) { return shape->width * shape->height / 2; }
static void grow_both(struct shape *shape, double factor) {
  shape->width *= factor;
  shape->height *= factor;
}
static void grow_wider(struct shape *shape, double factor) { shape->width *= factor * factor; }
static int64_t four(const struct shape *shape) { return 4 + (shape->width < 0); }
static int64_t three(const struct shape *shape) { return 3 + (shape->height < 0); }

static const struct methods kinds[2] = {
    {"box", box_area, grow_both, four},
    {"triangle", triangle_area, grow_wider, three},
};

/* Calls itself through a pointer, so that every frame below it is an indirect call. */
struct link {
  uint64_t (*call)(const struct link *, uint32_t left, uint64_t value);
  uint32_t which;
};
static CALL uint64_t follow(const struct link *link, uint32_t left, uint64_t value) {
  uint64_t mine = steps[link->which](value);
  if (left == 0) return mine;
  uint64_t below = link[1].call(link + 1, left - 1, mine);
  return mix(below, mine);
}
static CALL uint64_t follow_backwards(const struct link *link, uint32_t left, uint64_t value) {
  uint64_t below = left == 0 ? value : link[1].call(link + 1, left - 1, value + 1);
  return steps[link->which](below);
}

static uint64_t chain_without_pointers(const struct link *link, uint32_t left, uint64_t value) {
  if (link->call == follow_backwards) {
    uint64_t below = left == 0 ? value : chain_without_pointers(link + 1, left - 1, value + 1);
    return step_without_pointer(link->which, below);
  }
  uint64_t mine = step_without_pointer(link->which, value);
  return left == 0 ? mine : mix(chain_without_pointers(link + 1, left - 1, mine), mine);
}

static void check_chain(uint64_t *random) {
  struct link links[CHAIN_MAX];
  for (uint32_t at = 0; at < CHAIN_MAX; at++) {
    links[at].call = next(random) & 1 ? follow : follow_backwards;
    links[at].which = next(random) % 4;
  }
  uint64_t by_pointer = links[0].call(links, CHAIN_MAX - 1, 7);
  same("chain of callbacks", by_pointer, chain_without_pointers(links, CHAIN_MAX - 1, 7));
}

static void check_shapes(uint64_t *random) {
  struct shape shapes[SHAPES];
  double width[SHAPES], height[SHAPES];
  for (uint32_t at = 0; at < SHAPES; at++) {
    width[at] = (double)(next(random) % 100 + 1);
    height[at] = (double)(next(random) % 100 + 1);
    shapes[at] = (struct shape){&kinds[next(random) % 2], width[at], height[at]};
  }
  for (uint32_t at = 0; at < SHAPES; at++) {
    int is_box = shapes[at].methods == &kinds[0];
    shapes[at].methods->grow(&shapes[at], 1.5);
    double wider = width[at] * (is_box ? 1.5 : 1.5 * 1.5);
    double higher = height[at] * (is_box ? 1.5 : 1.0);
    double area = is_box ? wider * higher : wider * higher / 2;
    if (shapes[at].methods->area(&shapes[at]) != area) differs("area of a shape", at, at);
    same("corners", (uint64_t)shapes[at].methods->corners(&shapes[at]), is_box ? 4 : 3);
    same("name", (uint64_t)shapes[at].methods->name[0], is_box ? 'b' : 't');
  }
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 60000);
  uint64_t random = 42, value = 1, expected = 1;
  for (uint32_t round = 0; round < rounds; round++) {
    uint32_t which = next(&random) % 4;
    value = steps[which](value);
    expected = step_without_pointer(which, expected);
    same("function from an array", value, expected);
    check_chain(&random);
    check_shapes(&random);
    if (round % 5000 == 0) printf("round %" PRIu32 ": %016" PRIx64 "\n", round, value);
  }
  printf("%" PRIu32 " rounds: %016" PRIx64 "\n", rounds, value);
  return ok("function-pointers");
}
