/*
 * objects [N]: N rounds (default 60,000) over 1,000 objects of four kinds, whose methods are called
 * through tables of functions. Indirect calls, each with little work behind it.
 */
#include "kernel.h"

#define OBJECTS 1000

struct object;
struct methods {
  uint32_t (*step)(struct object *);
  uint32_t (*read)(const struct object *);
};
struct object {
  const struct methods *methods;
  uint32_t state, count;
};

static uint32_t read_state(const struct object *self) { return self->state; }
static uint32_t read_both(const struct object *self) { return self->state ^ self->count; }
static uint32_t step_count(struct object *self) { return self->state += ++self->count; }
static uint32_t step_scale(struct object *self) { return self->state = self->state * 69069 + 1; }
static uint32_t step_turn(struct object *self) {
  return self->state = self->state << 5 | self->state >> 27;
}
static uint32_t step_if_odd(struct object *self) {
  return self->methods->read(self) % 2 ? ++self->count : --self->state;
}

static const struct methods kinds[4] = {{step_count, read_state},
                                        {step_scale, read_both},
                                        {step_turn, read_state},
                                        {step_if_odd, read_both}};

int main(int argc, char **argv) {
  static struct object objects[OBJECTS];
  uint32_t rounds = size_or(argc, argv, 60000);
  uint64_t random = 5, hash = rounds;
  for (uint32_t at = 0; at < OBJECTS; at++)
    objects[at] = (struct object){&kinds[next(&random) % 4], (uint32_t)next(&random), 0};
  uint32_t sum = 0;
  for (uint32_t round = 0; round < rounds; round++)
    for (uint32_t at = 0; at < OBJECTS; at++) sum += objects[at].methods->step(&objects[at]);
  for (uint32_t at = 0; at < OBJECTS; at++)
    hash = mix(hash, objects[at].methods->read(&objects[at]));
  return print_checksum(mix(hash, sum));
}
