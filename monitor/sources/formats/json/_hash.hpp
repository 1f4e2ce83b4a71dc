// Ids to hashes of 64 bits, and 64 more where ids are joined, the same as detectors/sketches/identity.py has them. 0 is no id.
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

// What tells two functions of one make apart.
struct Lane {
  uint64_t seed, step;
};

constexpr Lane FIRST{0x9E3779B97F4A7C15u, 0xD6E8FEB86659FD93u}, SECOND{0xC2B2AE3D27D4EB4Fu, 0x9FB21C651E98DF25u};

inline uint64_t mix_id(uint64_t mixed, uint64_t word, uint64_t step) {
  mixed = (mixed ^ little_endian(word)) * step;
  return mixed ^ mixed >> 32;
}

// What is hashed, as it is told: splitmix64's finaliser, and never 0.
inline uint64_t last_of(uint64_t mixed) {
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
  mixed ^= mixed >> 31;
  return std::max<uint64_t>(mixed, 1);
}

inline uint64_t hash_id(std::string_view text, const Lane& lane = FIRST) {
  if (text.empty()) return 0;
  uint64_t mixed = lane.seed ^ text.size();
  const char* at = text.data();
  size_t left = text.size();
  uint64_t word = 0;
  for (; left >= 8; at += 8, left -= 8) {
    std::memcpy(&word, at, 8);
    mixed = mix_id(mixed, word, lane.step);
  }
  if (left > 0) {
    word = 0;
    std::memcpy(&word, at, left);
    mixed = mix_id(mixed, word, lane.step);
  }
  return last_of(mixed);
}

}  // namespace driftd
