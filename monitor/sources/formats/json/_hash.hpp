// Ids to 64-bit hashes, the same as monitor/sources/formats/identity.py has them. 0 is no id.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace driftd {

inline uint64_t little_endian(const char* at, size_t size) {
  unsigned char bytes[8] = {};
  std::memcpy(bytes, at, size);
  uint64_t word = 0;
  for (int place = 7; place >= 0; --place) word = word << 8 | bytes[place];
  return word;
}

inline uint64_t hash_id(std::string_view text) {
  if (text.empty()) return 0;
  uint64_t mixed = 0x9E3779B97F4A7C15u ^ text.size();
  for (size_t at = 0; at < text.size(); at += 8) {
    mixed = (mixed ^ little_endian(text.data() + at, std::min<size_t>(8, text.size() - at))) * 0xD6E8FEB86659FD93u;
    mixed ^= mixed >> 32;
  }
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;  // splitmix64's finaliser
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
  mixed ^= mixed >> 31;
  return std::max<uint64_t>(mixed, 1);
}

}  // namespace driftd
