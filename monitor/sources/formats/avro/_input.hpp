// The bytes of an Avro message and how far they are read; nothing is believed before it is bounded. Knows nothing of Python.
#pragma once

#include "../json/_wide.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>

namespace driftd {
namespace avro {

using std::string_view;

constexpr int32_t TRUNCATED = -3, TRAILING = -4, MALFORMED = -5, TOO_DEEP = -6, INVALID_UTF8 = -7;  // beside UNMONITORED and ODD
constexpr int DEEPEST = 32;          // records, arrays and maps inside of each other
constexpr int64_t FREE_ITEMS = 10'000;  // items and records that take no bytes at all, a message

class Input {
 public:
  int32_t verdict() const { return verdict_; }

 protected:
  // Begins a message; `verdict` is what is said of one that is left without a reason.
  void input(const char* begin, const char* end, int32_t verdict) {
    at_ = begin;
    end_ = end;
    items_ = FREE_ITEMS;
    depth_ = 0;
    verdict_ = verdict;
  }

  bool fail(int32_t why) {
    verdict_ = why;
    return false;
  }

  // --- bytes ---

  int64_t left() const { return end_ - at_; }

  // Most whole numbers are lengths, branches and symbols of a byte.
  bool whole(int64_t& found) {
    if (at_ == end_ || static_cast<unsigned char>(*at_) >= 0x80) return longer(found);
    const auto byte = static_cast<unsigned char>(*at_++);
    found = static_cast<int64_t>(byte >> 1) ^ -static_cast<int64_t>(byte & 1);
    return true;
  }

  DRIFTD_APART bool longer(int64_t& found) {
    uint64_t zigzag = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return fail(TRUNCATED);
      const auto byte = static_cast<unsigned char>(*at_++);
      if (shift == 63 && (byte & 0x7E) != 0 && byte < 0x80) return fail(MALFORMED);
      zigzag |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        found = static_cast<int64_t>(zigzag >> 1) ^ -static_cast<int64_t>(zigzag & 1);
        return true;
      }
    }
    return fail(MALFORMED);
  }

  bool take(int64_t size, string_view& found) {
    if (size < 0) return fail(MALFORMED);
    if (size > left()) return fail(TRUNCATED);
    found = {at_, static_cast<size_t>(size)};
    at_ += size;
    return true;
  }

  bool bytes(string_view& found) {
    int64_t size = 0;
    return whole(size) && take(size, found);
  }

  bool text(string_view& found) { return bytes(found) && (is_utf8(found) || fail(INVALID_UTF8)); }

  static constexpr uint64_t HIGH = 0x8080808080808080u;
  static constexpr size_t WORD = sizeof(uint64_t);

  bool is_utf8(string_view text) const {
    const auto* at = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = at + text.size();
    if (text.size() <= WORD && end_ - text.data() >= static_cast<ptrdiff_t>(WORD)) {  // as most are: how long each is nobody can guess
      const uint64_t beyond = text.size() == WORD ? 0 : ~uint64_t{0} << 8 * text.size();
      return (word_at(text.data()) & HIGH & ~beyond) == 0 || is_wide_utf8(at, end);
    }
    for (; end - at >= static_cast<ptrdiff_t>(WORD); at += WORD)
      if ((word_at(reinterpret_cast<const char*>(at)) & HIGH) != 0) return is_wide_utf8(at, end);
    if (text.size() >= WORD)  // the last word again, from where it is whole
      return (word_at(text.data() + text.size() - WORD) & HIGH) == 0 || is_wide_utf8(at, end);
    for (; at != end; ++at)
      if (*at >= 0x80) return is_wide_utf8(at, end);
    return true;
  }

  DRIFTD_APART static bool is_wide_utf8(const unsigned char* at, const unsigned char* end) {
    while (at != end) {
      const unsigned char c = *at;
      const auto continues = [&](ptrdiff_t offset, unsigned char low = 0x80, unsigned char high = 0xBF) {
        return end - at > offset && at[offset] >= low && at[offset] <= high;
      };
      if (c < 0x80) ++at;
      else if (c >= 0xC2 && c <= 0xDF && continues(1)) at += 2;
      else if (c >= 0xE0 && c <= 0xEF && continues(1, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF) && continues(2)) at += 3;
      else if (c >= 0xF0 && c <= 0xF4 && continues(1, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF) && continues(2) && continues(3)) at += 4;
      else return false;
    }
    return true;
  }

  // How many items come next; 0 at the end. Each takes a byte, or is one of the few that need not.
  bool block(int64_t& count) {
    int64_t size = 0;
    if (!whole(count)) return false;
    if (count < 0) {
      if (count == INT64_MIN) return fail(MALFORMED);
      if (!whole(size)) return false;
      if (size < 0) return fail(MALFORMED);
      count = -count;
    }
    return count <= left() + items_ || fail(MALFORMED);
  }

  bool deeper() { return ++depth_ <= DEEPEST || fail(TOO_DEEP); }

  bool shallower() {
    --depth_;
    return true;
  }

  // Counts an item or a record that began here, if it took no bytes: there could be any number of these.
  bool took(const char* begin) { return at_ != begin || --items_ >= 0 || fail(MALFORMED); }

  const char *at_ = nullptr, *end_ = nullptr;

 private:
  int64_t items_ = 0;
  int depth_ = 0;
  int32_t verdict_ = 0;
};

}  // namespace avro
}  // namespace driftd
