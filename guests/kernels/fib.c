/*
 * fib [N]: Fibonacci numbers the recursive way (default 42). Nothing but calls: what a poll at a
 * function's entry costs.
 */
#include "kernel.h"

static CALL uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

int main(int argc, char **argv) { return print_checksum(fib(size_or(argc, argv, 42))); }
