/*
 * sha256 [KIBIBYTES]: SHA-256 of so many KiB (default 96 MiB) of the bytes
 * 0 to 250, over and over. Rotations and additions of i32 in a long loop body.
 *
 * Prints the first eight bytes of the digest. Source: FIPS 180-4.
 */
#include "kernel.h"

static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t digest[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static uint32_t turn(uint32_t word, int by) { return word >> by | word << (32 - by); }

static CALL void block(const uint8_t bytes[64]) {
  uint32_t w[64], a = digest[0], b = digest[1], c = digest[2], d = digest[3], e = digest[4],
                  f = digest[5], g = digest[6], h = digest[7];
  for (int at = 0; at < 16; at++)
    w[at] = (uint32_t)bytes[4 * at] << 24 | (uint32_t)bytes[4 * at + 1] << 16 |
            (uint32_t)bytes[4 * at + 2] << 8 | bytes[4 * at + 3];
  for (int at = 16; at < 64; at++) {
    uint32_t s0 = turn(w[at - 15], 7) ^ turn(w[at - 15], 18) ^ w[at - 15] >> 3;
    uint32_t s1 = turn(w[at - 2], 17) ^ turn(w[at - 2], 19) ^ w[at - 2] >> 10;
    w[at] = w[at - 16] + s0 + w[at - 7] + s1;
  }
  for (int at = 0; at < 64; at++) {
    uint32_t s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + k[at] + w[at];
    uint32_t s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  digest[0] += a, digest[1] += b, digest[2] += c, digest[3] += d;
  digest[4] += e, digest[5] += f, digest[6] += g, digest[7] += h;
}

int main(int argc, char **argv) {
  uint32_t blocks = size_or(argc, argv, 96 * 1024) * 16;
  uint8_t bytes[64];
  uint32_t value = 0;
  for (uint32_t at = 0; at < blocks; at++) {
    for (int byte = 0; byte < 64; byte++) {
      bytes[byte] = (uint8_t)value;
      value = value == 250 ? 0 : value + 1;
    }
    block(bytes);
  }
  /* The message ends on a border of blocks: one block of padding with the length in bits. */
  memset(bytes, 0, sizeof bytes);
  bytes[0] = 0x80;
  uint64_t bits = (uint64_t)blocks * 512;
  for (int byte = 0; byte < 8; byte++) bytes[63 - byte] = (uint8_t)(bits >> 8 * byte);
  block(bytes);
  return print_checksum((uint64_t)digest[0] << 32 | digest[1]);
}
