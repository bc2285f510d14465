/*
 * compress [KIBIBYTES]: compresses so many KiB (default 48 MiB) of made-up text, one 64 KiB block
 * at a time, by looking for earlier copies (in the manner of LZ77, greedy, with a hash table), and
 * expands it again. Loops over bytes with short runs and many exits.
 */
#include "kernel.h"

#define BLOCK 65536
#define HASH_BITS 14
#define MATCH_MIN 4
#define MATCH_MAX 130

static uint8_t text[BLOCK], packed[BLOCK + BLOCK / 64], expanded[BLOCK];
static uint32_t last_seen[1 << HASH_BITS];

static uint32_t four_bytes(const uint8_t *at) {
  uint32_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

static void make_text(uint64_t *random) {
  static const char *const words[16] = {"the ",  "guest ", "is ",    "stopped ", "sealed ", "and ",
                                        "later ", "goes ", "on ",    "where ",   "it ",     "was, ",
                                        "in ",   "any ",   "place. ", "\n"};
  for (uint32_t at = 0; at < BLOCK;) {
    const char *word = words[next(random) % 16];
    while (*word != '\0' && at < BLOCK) text[at++] = (uint8_t)*word++;
    if (at < BLOCK && next(random) % 8 == 0) text[at++] = (uint8_t)next(random);
  }
}

/*
 * Packs `text`; returns the size. Tokens: a byte below 128 is that many plain bytes plus one; from
 * 128 on it is a copy of (byte - 128 + MATCH_MIN) bytes from a u16 distance behind.
 */
static CALL uint32_t pack(void) {
  uint32_t out = 0, plain = 0, at = 0;
  memset(last_seen, 0, sizeof last_seen);
  while (at < BLOCK) {
    uint32_t length = 0, from = 0;
    if (at + MATCH_MIN <= BLOCK) {
      uint32_t slot = four_bytes(text + at) * 2654435761u >> (32 - HASH_BITS);
      from = last_seen[slot];
      last_seen[slot] = at;
      if (from < at)
        while (length < MATCH_MAX && at + length < BLOCK &&
               text[from + length] == text[at + length])
          length++;
    }
    if (length < MATCH_MIN) {
      at++;
      if (at - plain < 128 && at < BLOCK) continue;
      length = 0;
    }
    if (at > plain) {
      packed[out++] = (uint8_t)(at - plain - 1);
      memcpy(packed + out, text + plain, at - plain);
      out += at - plain;
    }
    if (length > 0) {
      packed[out++] = (uint8_t)(128 + length - MATCH_MIN);
      packed[out++] = (uint8_t)(at - from);
      packed[out++] = (uint8_t)((at - from) >> 8);
      at += length;
    }
    plain = at;
  }
  return out;
}

static CALL uint32_t expand(uint32_t size) {
  uint32_t out = 0;
  for (uint32_t at = 0; at < size;) {
    uint32_t token = packed[at++];
    if (token < 128) {
      for (uint32_t left = token + 1; left > 0; left--) expanded[out++] = packed[at++];
    } else {
      uint32_t from = out - (packed[at] | (uint32_t)packed[at + 1] << 8);
      at += 2;
      for (uint32_t left = token - 128 + MATCH_MIN; left > 0; left--)
        expanded[out++] = expanded[from++];
    }
  }
  return out;
}

int main(int argc, char **argv) {
  uint32_t blocks = size_or(argc, argv, 48 * 1024) / 64;
  uint64_t random = 4, hash = blocks;
  for (uint32_t block = 0; block < blocks; block++) {
    make_text(&random);
    uint32_t size = pack();
    same("size of the text", expand(size), BLOCK);
    if (memcmp(text, expanded, BLOCK) != 0) differs("text of a block", block, block);
    hash = mix(hash, size);
  }
  return print_checksum(hash);
}
