// Arrays of JSON one element type long (HOT): numbers one behind another, rows of numbers, texts. Knows nothing of Python.
#pragma once

#include "../json/_json.hpp"
#include "_plain.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace driftd {

// Doubles one behind another, in memory of somebody else's.
class Doubles {
 public:
  Doubles(double* begin, double* limit) : begin_(begin), end_(begin), limit_(limit) {}

  size_t size() const { return static_cast<size_t>(end_ - begin_); }
  const double* data() const { return begin_; }
  void clear() { end_ = begin_; }

  // Where so many more may be written, null where there is no room; nothing else is added until it is said up to where they were.
  double* room(size_t more) { return static_cast<size_t>(limit_ - end_) < more ? nullptr : end_; }

  void filled(double* end) { end_ = end; }

  bool add(double value) {
    if (end_ == limit_) return false;
    *end_++ = value;
    return true;
  }

 private:
  double* begin_;
  double* end_;
  double* limit_;
};

constexpr size_t SPARE = 64;  // numbers that may be written at once
constexpr double LARGEST = 9007199254740991;  // up to it no two whole numbers are one double

// Arrays at a cursor. A NUL stands at the end of the message.
class Arrays {
 public:
  Arrays(Cursor& cursor, Doubles& numbers) : cursor_(cursor), numbers_(numbers) {}

  // Past `[1, null, 2.5]`; false where anything else is in it, or there is no room.
  bool flat() {
    cursor_.step();
    if (*cursor_.at == ']') return false;
    for (;;) {
      if (!plain_ones()) return false;
      double value = 0;
      if (!number(value) || !numbers_.add(value)) return false;
      if (*cursor_.at != ',') cursor_.space();
      if (*cursor_.at == ']') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  // Past `[[1, 2], [3, null]]`; false where rows have not `width` numbers each; of 0 the first tells.
  bool rows(size_t& width) {
    cursor_.step();
    for (;;) {
      const size_t before = numbers_.size();
      if (*cursor_.at != '[' || !flat()) return false;
      const size_t found = numbers_.size() - before;
      if (width == 0) width = found;
      if (found != width) return false;
      cursor_.space();
      if (*cursor_.at == ']') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  // Past `["a", null]`; `take` gets each text, none for null, and may refuse. False where anything else is in it.
  template <typename Take>
  bool texts(Take take) {
    cursor_.step();
    if (*cursor_.at == ']') return false;
    std::string scratch;
    for (;;) {
      if (*cursor_.at == '"') {
        std::string_view text;
        if (!cursor_.string(text, scratch) || !take(&text)) return false;
      } else if (!cursor_.literal("null") || !take(nullptr)) {
        return false;
      }
      cursor_.space();
      if (*cursor_.at == ']') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

 private:
  // Past numbers that each have a comma behind them, as long as a window lies behind it; false where one is none. At least the last
  // of an array is left.
  bool plain_ones() {
#ifdef DRIFTD_WIDE
    const char* begin = cursor_.at;
    for (bool more = true; more;) {
      const char* const chunk = begin;
      const Marked marked(chunk, cursor_.left(chunk));
      double* found = numbers_.room(marked.count);
      if (marked.count == 0 || found == nullptr) break;
      for (size_t at = 0; at < marked.count; ++at, ++found) {
        const char* const end = chunk + marked.commas[at];
        const uint32_t others = marked.others(static_cast<size_t>(begin - chunk));
        if (!plain_number(begin, static_cast<size_t>(end - begin), others, *found) && !other_number(begin, end, *found)) return false;
        begin = end + 1;
        begin += *begin == ' ';
      }
      numbers_.filled(found);
      more = !marked.closed;
    }
    cursor_.at = begin;
    cursor_.space();
#endif
    return true;
  }

  bool other_number(const char* begin, const char* end, double& value) {
    cursor_.at = past_space(begin);
    if (!number(value)) return false;
    cursor_.space();
    return cursor_.at == end;
  }

  bool number(double& value) {
#ifdef DRIFTD_WIDE
    if (cursor_.has_window(cursor_.at)) {
      const char* const behind = in_window(cursor_.at, value);
      if (behind != nullptr) {
        value += 0.0;  // of -0 it makes 0: an integer has no such sign
        return cursor_.at = behind, true;
      }
    }
#endif
    if (*cursor_.at == 'n') {
      value = std::numeric_limits<double>::quiet_NaN();
      return cursor_.literal("null");
    }
    Number found;
    if (!cursor_.number(found)) return false;
    value = found.value + 0.0;
    return !found.whole || (value <= LARGEST && value >= -LARGEST);  // a longer one is not what it reads as
  }

  Cursor& cursor_;
  Doubles& numbers_;
};

}  // namespace driftd
