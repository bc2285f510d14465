/*
 * A ledger in a database: each round moves an amount between two accounts, in a transaction that also
 * says that the round is done. However often the guest is killed and restored, every round is booked
 * exactly once: the balances at the end are those of a computation that nobody disturbed.
 *
 * A cursor over "note/…" stays open from the beginning: it gives every note that others leave, once.
 *
 * Usage: kv-ledger [rounds] [microseconds to sleep in each, and in each transaction]. Needs
 * --kv ledger=FILE.
 */
#include <unistd.h>

#include "../self-check.h"
#include "stasis-kv.h"

enum { ACCOUNTS = 16, FIRST_BALANCE = 1000 };

static uint32_t database;

static void must(const char *what, int32_t errno_given) { same(what, (uint64_t)errno_given, 0); }

static uint32_t account_key(char *key, uint32_t account) {
  return (uint32_t)sprintf(key, "account/%02" PRIu32, account);
}

static int64_t read_number(const char *key, uint32_t length, int64_t otherwise) {
  int64_t number;
  uint32_t found;
  int32_t failure = kv_get(database, key, length, &number, sizeof number, &found);
  if (failure == KV_ENOENT) return otherwise;
  must("get", failure);
  same("length of a number", found, sizeof number);
  return number;
}

static void write_number(const char *key, uint32_t length, int64_t number) {
  must("put", kv_put(database, key, length, &number, sizeof number));
}

struct transfer {
  uint32_t from, to;
  int64_t amount;
};

/* The same in every run. */
static struct transfer transfer_of(uint32_t round) {
  uint64_t state = UINT64_C(0x243f6a8885a308d3) + round;
  for (int i = 0; i < 4; i++) next(&state);
  uint32_t from = (uint32_t)(next(&state) % ACCOUNTS);
  uint32_t to = (from + 1 + (uint32_t)(next(&state) % (ACCOUNTS - 1))) % ACCOUNTS;
  return (struct transfer){from, to, (int64_t)(next(&state) % 50) + 1};
}

CALL static void book(uint32_t account, int64_t amount) {
  char key[32];
  uint32_t length = account_key(key, account);
  write_number(key, length, read_number(key, length, FIRST_BALANCE) + amount);
}

/* The sum over all accounts, by a cursor that lives for this one scan. */
CALL static int64_t sum_of_accounts(void) {
  uint32_t cursor, key_length, length;
  char key[32], before[32] = "";
  int64_t balance, sum = 0;
  uint32_t seen = 0;
  must("cursor", kv_cursor(database, "account/", 8, "account0", 8, 0, &cursor));
  for (;;) {
    int32_t end =
        kv_next(cursor, key, sizeof key - 1, &key_length, &balance, sizeof balance, &length);
    if (end == KV_ENOENT) break;
    must("next", end);
    key[key_length] = 0;
    if (strcmp(before, key) >= 0) differs("order of keys", (uint64_t)key[9], (uint64_t)before[9]);
    strcpy(before, key);
    sum += balance;
    seen++;
  }
  must("close of a cursor", kv_cursor_close(cursor));
  return sum + (int64_t)(ACCOUNTS - seen) * FIRST_BALANCE;
}

/* In one transaction: the round's transfer, and that it is done. False when it was done before. */
CALL static int book_round(uint32_t round, uint32_t hold_us) {
  struct transfer transfer = transfer_of(round);
  must("begin", kv_begin(database));
  int64_t done = read_number("done", 4, 0);
  /* A restart takes back the guest, not the database: it may be ahead, but never behind. */
  if (done < (int64_t)round) differs("rounds done", (uint64_t)done, round);
  if (done > (int64_t)round) {
    must("rollback", kv_rollback(database));
    return 0;
  }
  book(transfer.from, -transfer.amount);
  book(transfer.to, transfer.amount);
  write_number("done", 4, round + 1);
  if (hold_us > 0) usleep(hold_us);
  must("commit", kv_commit(database));
  return 1;
}

CALL static uint32_t read_notes(uint32_t cursor) {
  char key[64], value[64];
  uint32_t key_length, length, notes = 0;
  for (;;) {
    int32_t end = kv_next(cursor, key, sizeof key, &key_length, value, sizeof value, &length);
    if (end == KV_ENOENT) return notes;
    must("next note", end);
    notes++;
  }
}

static void check_balances(uint32_t rounds) {
  int64_t balances[ACCOUNTS];
  for (uint32_t i = 0; i < ACCOUNTS; i++) balances[i] = FIRST_BALANCE;
  for (uint32_t round = 0; round < rounds; round++) {
    struct transfer transfer = transfer_of(round);
    balances[transfer.from] -= transfer.amount;
    balances[transfer.to] += transfer.amount;
  }
  for (uint32_t i = 0; i < ACCOUNTS; i++) {
    char key[32];
    uint32_t length = account_key(key, i);
    same(key, (uint64_t)read_number(key, length, FIRST_BALANCE), (uint64_t)balances[i]);
  }
}

int main(int argc, char **argv) {
  begin();
  uint32_t rounds = argument_or(argc, argv, 1, 100);
  uint32_t sleep_us = argument_or(argc, argv, 2, 0);
  uint32_t hold_us = argument_or(argc, argv, 3, 0);
  uint32_t cursor, notes = 0, mine = 0;
  must("open", kv_open("ledger", 6, &database));
  must("cursor", kv_cursor(database, "note/", 5, "note0", 5, 0, &cursor));
  for (uint32_t round = 0; round < rounds; round++) {
    mine += (uint32_t)book_round(round, hold_us);
    notes += read_notes(cursor);
    same("sum of the accounts", (uint64_t)sum_of_accounts(), ACCOUNTS * FIRST_BALANCE);
    if (round % 10 == 0) printf("round %" PRIu32 "\n", round);
    if (sleep_us > 0) usleep(sleep_us);
  }
  check_balances(rounds);
  notes += read_notes(cursor);
  printf("notes %" PRIu32 "\n", notes);
  must("close", kv_close(database));
  same("closed", (uint64_t)kv_cursor_close(cursor), KV_EBADF);
  if (mine > rounds) differs("rounds booked", mine, rounds);
  return ok("kv-ledger");
}
