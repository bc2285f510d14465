/*
 * floyd [N]: shortest paths between all pairs of N nodes (default 720), Floyd and Warshall's way,
 * in one function that is called once. A tight innermost loop in a function that an engine never
 * replaces while it runs.
 */
#include "kernel.h"

int main(int argc, char **argv) {
  uint32_t nodes = size_or(argc, argv, 720);
  int32_t *distance = malloc(sizeof *distance * nodes * nodes);
  if (distance == NULL) return 2;
  uint64_t random = 1;
  for (uint32_t edge = 0; edge < nodes * nodes; edge++)
    distance[edge] = (int32_t)(next(&random) % 10000) + 1;
  for (uint32_t via = 0; via < nodes; via++)
    for (uint32_t from = 0; from < nodes; from++)
      for (uint32_t to = 0; to < nodes; to++) {
        int32_t through = distance[from * nodes + via] + distance[via * nodes + to];
        if (through < distance[from * nodes + to]) distance[from * nodes + to] = through;
      }
  uint64_t hash = nodes;
  for (uint32_t edge = 0; edge < nodes * nodes; edge++) hash = mix(hash, (uint32_t)distance[edge]);
  return print_checksum(hash);
}
