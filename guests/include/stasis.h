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

/*
 * Declares `bytes` bytes at `at` as secret: what lies there never enters a checkpoint. Nothing changes for
 * the guest that goes on; one that is brought back finds zeros there, still declared, and has to fetch the
 * secret again (stasis_generation tells it that it was brought back).
 *
 * What is declared last holds: it takes the place of every declaration that it overlaps. Take a declaration
 * back before the memory is used for anything else, such as by free(3): that would be zeros as well.
 * Copies are not covered: in other memory, in locals and arguments of functions that run, in what was read
 * or written. Work on a secret between two calls of the host, and keep it in one place.
 *
 * Returns 0, 21 (EFAULT), or 48 (ENOMEM) where 1024 places are declared.
 */
__attribute__((import_module("stasis"), import_name("secret")))
int32_t stasis_secret(void *at, uint32_t bytes);

/* Takes back every declaration that overlaps these bytes. Returns 0, or 21 (EFAULT). */
__attribute__((import_module("stasis"), import_name("secret_end")))
int32_t stasis_secret_end(void *at, uint32_t bytes);

/*
 * Writes the secret that the user gave under this name (--env-secret NAME), zeros behind it, and declares
 * the place. A guest that is brought back finds there the value that was given for that run; a restart
 * without one is refused. The place is `room` bytes, and values of later runs have to fit, too.
 * getenv(3) finds the same value, in memory that the host declared.
 *
 * Returns the value's length, or -errno: -44 (ENOENT): no such secret was given, -68 (ERANGE): it does not
 * fit, -21 (EFAULT), -48 (ENOMEM).
 */
__attribute__((import_module("stasis"), import_name("secret_read")))
int32_t stasis_secret_read(const char *name, uint32_t name_bytes, void *at, uint32_t room);

#ifdef __cplusplus
}
#endif

#endif
