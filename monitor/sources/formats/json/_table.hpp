// Texts to numbers: an open-addressing hash table that is filled once and then only read. Of few texts each has a slot of its own:
// which category comes next nobody can guess, so that a second look costs a branch guessed wrong.
#pragma once

#include "_wide.hpp"

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
    texts_.emplace_back(text);
    values_.push_back(value);
    const bool fits = SPARSE * texts_.size() <= slots_.size();
    if (fits && (place(texts_.size() - 1) || texts_.size() > FEW)) return;
    const size_t size = fits ? slots_.size() : std::max<size_t>(8, 2 * slots_.size());
    int left = texts_.size() > FEW ? 0 : SEEDS;
    while (!place_all(size) && left-- > 0) seed_ = seed_ * 0x5851F42D4C957F2Du + 2;
  }

  int32_t find(std::string_view text) const {
    if (slots_.empty()) return -1;
    const Ends ends = ends_of(text);
    for (size_t slot = ends.hash(seed_) & (slots_.size() - 1); slots_[slot].text >= 0; slot = (slot + 1) & (slots_.size() - 1))
      if (slots_[slot].ends == ends && (text.size() <= TOLD || texts_[slots_[slot].text] == text)) return slots_[slot].value;
    return -1;
  }

  size_t size() const { return texts_.size(); }

  static size_t hash(std::string_view text) { return ends_of(text).hash(0); }

 private:
  static constexpr size_t SPARSE = 4;  // slots to a text at least
  static constexpr size_t FEW = 16;    // texts that are given slots of their own
  static constexpr int SEEDS = 32;     // tried for that
  static constexpr size_t TOLD = 16;  // characters that the ends of a text tell wholly

  // The first and last eight bytes of a text, which may be the same, and of what lies between only a hash.
  struct Ends {
    uint64_t first = 0, last = 0, size = 0, between = 0;

    bool operator==(const Ends& other) const {
      return ((first ^ other.first) | (last ^ other.last) | (size ^ other.size)) == 0;
    }

    // Its higher bits depend on all that is hashed. What comes last is folded first: texts differ at their ends.
    size_t hash(uint64_t seed) const {
      const uint64_t mixed = (first ^ size * 0x9E3779B97F4A7C15u ^ between ^ seed) * 0xD6E8FEB86659FD93u;
      return static_cast<size_t>(((mixed ^ mixed >> 32 ^ last ^ last >> 31) * 0x9FB21C651E98DF25u) >> 32);
    }
  };

  struct Slot {
    Ends ends;
    int32_t text = -1, value = -1;
  };

  static Ends ends_of(std::string_view text) {
    Ends ends;
    const char* at = text.data();
    const size_t size = ends.size = text.size();
    if (size >= 8) {
      ends.first = word_at(at);
      ends.last = word_at(at + size - 8);
      for (size_t from = 8; from + 8 < size; from += 8) ends.between = (ends.between ^ word_at(at + from)) * 0xC2B2AE3D27D4EB4Fu;
    } else if (size >= 4) {
      ends.first = half_at(at);
      ends.last = half_at(at + size - 4);
    } else if (size > 0) {  // no text has no address
      ends.first = static_cast<unsigned char>(at[0]) | static_cast<uint64_t>(static_cast<unsigned char>(at[size / 2])) << 8;
      ends.last = static_cast<unsigned char>(at[size - 1]);
    }
    return ends;
  }

  // Whether all have slots of their own.
  bool place_all(size_t size) {
    slots_.assign(size, Slot());
    bool alone = true;
    for (size_t at = 0; at < texts_.size(); ++at) alone = place(at) && alone;
    return alone;
  }

  bool place(size_t at) {
    const Ends ends = ends_of(texts_[at]);
    const size_t wanted = ends.hash(seed_) & (slots_.size() - 1);
    size_t slot = wanted;
    while (slots_[slot].text >= 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = {ends, static_cast<int32_t>(at), values_[at]};
    return slot == wanted;
  }

  uint64_t seed_ = 0;
  std::vector<std::string> texts_;
  std::vector<int32_t> values_;
  std::vector<Slot> slots_;
};

}  // namespace driftd
