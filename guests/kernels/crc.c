/*
 * crc [KIBIBYTES]: CRC-32 (the polynomial of IEEE 802.3) of so many KiB (default 240 MiB), 64 KiB
 * of the bytes 0 to 250 over and over at a time. One load and one lookup a byte: the tightest loop.
 */
#include "kernel.h"

#define BLOCK 65536

static uint8_t bytes[BLOCK];
static uint32_t table[256];

static CALL uint32_t crc_of(uint32_t crc, const uint8_t *at, uint32_t count) {
  while (count-- > 0) crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
  return crc;
}

int main(int argc, char **argv) {
  uint32_t blocks = size_or(argc, argv, 240 * 1024) / 64;
  for (uint32_t at = 0; at < 256; at++) {
    uint32_t word = at;
    for (int bit = 0; bit < 8; bit++) word = word & 1 ? word >> 1 ^ 0xedb88320u : word >> 1;
    table[at] = word;
  }
  for (uint32_t at = 0; at < BLOCK; at++) bytes[at] = (uint8_t)(at % 251);
  uint32_t crc = 0xffffffffu;
  for (uint32_t block = 0; block < blocks; block++) crc = crc_of(crc, bytes, BLOCK);
  return print_checksum(crc ^ 0xffffffffu);
}
