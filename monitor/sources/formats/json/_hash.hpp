// Ids to 64-bit hashes, the same as detectors/sketches/identity.py has them. 0 is no id.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace driftd {

inline uint64_t little_endian(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return __builtin_bswap64(word);
#else
  return word;
#endif
}

inline uint64_t mix_id(uint64_t mixed, uint64_t word) {
  mixed = (mixed ^ little_endian(word)) * 0xD6E8FEB86659FD93u;
  return mixed ^ mixed >> 32;
}

inline uint64_t hash_id(std::string_view text) {
  if (text.empty()) return 0;
  uint64_t mixed = 0x9E3779B97F4A7C15u ^ text.size();
  const char* at = text.data();
  size_t left = text.size();
  uint64_t word = 0;
  for (; left >= 8; at += 8, left -= 8) {
    std::memcpy(&word, at, 8);
    mixed = mix_id(mixed, word);
  }
  if (left > 0) {
    word = 0;
    std::memcpy(&word, at, left);
    mixed = mix_id(mixed, word);
  }
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;  // splitmix64's finaliser
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
  mixed ^= mixed >> 31;
  return std::max<uint64_t>(mixed, 1);
}

}  // namespace driftd
