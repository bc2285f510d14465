/*
 * stasis.h: what a guest may ask of the host that runs it.
 *
 * A guest needs none of this to be checkpointed: the host can stop any WASI program, anywhere.
 * It is for programs that know a good moment themselves, or that must do something differently
 * after a restart (open a fresh connection, say that it is back).
 *
 * Link nothing: the functions are imports of the module "stasis", resolved by the host.
 */
#ifndef STASIS_H
#define STASIS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The checkpoint was made, and this is the run that made it, going on. */
#define STASIS_CHECKPOINTED 0

/* This is a restart: the checkpoint was made in an earlier run, which has ended. */
#define STASIS_RESTARTED 1

/*
 * Asks the host for a checkpoint of this guest, here, and returns once it is sealed in the vault.
 * Like fork(2) it returns once in the run that called it, and once more in every run that is
 * restored from the checkpoint: the return value tells which.
 *
 * Returns:
 * - STASIS_CHECKPOINTED (0): the checkpoint exists and survives a crash from now on.
 * - STASIS_RESTARTED (1): the guest was restored from the checkpoint that this call made. Memory,
 *   open files and their offsets are as they were at the call; clocks and randomness are of today.
 * - a negative number, -errno with WASI's numbers (-63 is EPERM: the policy forbids it, -51 is
 *   ENOSPC: the vault is full): no checkpoint was made, and the guest goes on as if it had not asked.
 *
 * Before asking, flush what must not be written twice or lost: data in a stdio buffer is memory,
 * and comes back with it.
 */
__attribute__((import_module("stasis"), import_name("checkpoint")))
int32_t stasis_checkpoint(void);

/*
 * Writes the number of this run: a random one, drawn when the guest starts and again each time that it
 * is brought back, so no two runs share it, not even two that go on from the same checkpoint. It stays
 * the same across a checkpoint that the guest goes on from.
 *
 * A guest can be captured anywhere, and does not notice. One whose own generator of random numbers must
 * not repeat itself, or that gives out names that must be unique, compares this number with the one it
 * saw last, and seeds anew when it differs. (random_get and getentropy are fresh in any case.)
 *
 * Returns 0, or 21 (EFAULT).
 */
__attribute__((import_module("stasis"), import_name("generation")))
int32_t stasis_generation(uint64_t *generation);

#ifdef __cplusplus
}
#endif

#endif
