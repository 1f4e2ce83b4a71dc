// Texts to numbers: an open-addressing hash table that is filled once and then only read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace driftd {

class Table {
 public:
  void add(std::string_view text, int32_t value) {
    if (find(text) >= 0) return;
    entries_.push_back({std::string(text), value});
    if (2 * entries_.size() <= slots_.size()) return place(entries_.size() - 1);
    slots_.assign(std::max<size_t>(8, 2 * slots_.size()), -1);
    for (size_t at = 0; at < entries_.size(); ++at) place(at);
  }

  int32_t find(std::string_view text) const {
    if (slots_.empty()) return -1;
    for (size_t slot = hash(text) & (slots_.size() - 1); slots_[slot] >= 0; slot = (slot + 1) & (slots_.size() - 1))
      if (entries_[slots_[slot]].text == text) return entries_[slots_[slot]].value;
    return -1;
  }

  size_t size() const { return entries_.size(); }

 private:
  struct Named {
    std::string text;
    int32_t value;
  };

  void place(size_t at) {
    size_t slot = hash(entries_[at].text) & (slots_.size() - 1);
    while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<int32_t>(at);
  }

  static size_t hash(std::string_view text) {
    uint64_t mixed = 0x9E3779B97F4A7C15u ^ text.size();
    const char* at = text.data();
    size_t left = text.size();
    for (; left >= 8; at += 8, left -= 8) mixed = mix(mixed, at, 8);
    return static_cast<size_t>(mix(mixed, at, left));
  }

  static uint64_t mix(uint64_t mixed, const char* at, size_t size) {
    uint64_t word = 0;
    if (size != 0) std::memcpy(&word, at, size);  // no text has no address
    mixed = (mixed ^ word) * 0xD6E8FEB86659FD93u;
    return mixed ^ (mixed >> 32);
  }

  std::vector<Named> entries_;
  std::vector<int32_t> slots_;
};

}  // namespace driftd
