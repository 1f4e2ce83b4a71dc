// A JSON message whose flat arrays of numbers under keys `data` are taken out. Knows nothing of Python.
//
//   {"id": "r-1", "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1.5, null]}]}
//   {"id": "", "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [0,2]}]}    and 1.5, NaN, r-1
//
// What is left of such an array is its place among them and its length. No other array of two whole numbers is left under such a
// key: one that could not be taken out has the whole message left alone, as has a key that is written with escapes.
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

class Compactor {
 public:
  // A NUL stands at `end`.
  Compactor(const char* begin, const char* end, double* room, double* limit) : numbers(room, limit), cursor_(begin, end), begin_(begin), end_(end), copied_(begin) {}

  std::string rest;
  Doubles numbers;  // as many as there are, whatever is claimed
  std::string_view id;
  bool has_id = false;

  // Whether the message is wholly understood.
  bool run() {
    cursor_.space();
    if (*cursor_.at != '{' || !object(1) || !cursor_.ends()) return false;
    rest.append(copied_, end_);
    return true;
  }

 private:
  bool object(int depth) {
    std::string scratch;
    cursor_.step();
    if (*cursor_.at == '}') return cursor_.pass();
    for (;;) {
      std::string_view key;
      if (*cursor_.at != '"' || !cursor_.string(key, scratch) || !plain(key) || !cursor_.colon()) return false;
      if (!member(key, depth)) return false;
      cursor_.space();
      if (*cursor_.at == '}') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  bool member(std::string_view key, int depth) {
    if (key == "data" && *cursor_.at == '[' && is_flat()) return array();
    if (key == "id" && depth == 1 && *cursor_.at == '"') return identity();
    return value(depth);
  }

  bool value(int depth) {
    if (*cursor_.at == '{') return depth < MAX_DEPTH && object(depth + 1);
    if (*cursor_.at == '[') return depth < MAX_DEPTH && list(depth + 1);
    return cursor_.skip(depth);
  }

  bool list(int depth) {
    cursor_.step();
    if (*cursor_.at == ']') return cursor_.pass();
    for (;;) {
      if (!value(depth)) return false;
      cursor_.space();
      if (*cursor_.at == ']') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  // Whether a key lies in the message as it is meant.
  bool plain(std::string_view key) const { return key.data() >= begin_ && key.data() <= end_; }

  bool identity() {
    std::string scratch;
    const char* const quote = cursor_.at;
    if (has_id || !cursor_.string(id, scratch) || !plain(id)) return false;
    has_id = true;
    rest.append(copied_, quote + 1);
    copied_ = cursor_.at - 1;
    return true;
  }

  // Whether the array begins as one of numbers does; what begins otherwise stays where it is.
  bool is_flat() const {
    const char* const first = past_space(cursor_.at + 1);
    return *first == ']' || *first == '-' || *first == 'n' || is_digit(*first);
  }

  bool array() {
    const char* const opening = cursor_.at;
    const size_t before = numbers.size();
    cursor_.step();
    if (*cursor_.at == ']') cursor_.pass();
    else if (!elements()) return false;
    rest.append(copied_, opening);
    rest += '[' + std::to_string(arrays_++) + ',' + std::to_string(numbers.size() - before) + ']';
    copied_ = cursor_.at;
    return true;
  }

  bool elements() {
    for (;;) {
      if (!plain_ones()) return false;
      double value = 0;
      if (!number(value) || !numbers.add(value)) return false;
      if (*cursor_.at != ',') cursor_.space();
      if (*cursor_.at == ']') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  // Past numbers that each have a comma behind them, a block at a time, as long as a window lies behind it; false where one is
  // none. At least the last of an array is left.
  bool plain_ones() {
#ifdef DRIFTD_WIDE
    const char* begin = cursor_.at;
    for (const char* block = begin; cursor_.left(block) >= BLOCK + WINDOW; block += BLOCK) {
      const uint64_t closing = in_block(block, ']');
      uint64_t commas = in_block(block, ',');
      if (closing != 0) commas &= (closing & (~closing + 1)) - 1;
      double* found = numbers.room(BLOCK);
      if (found == nullptr) break;
      for (; commas != 0; commas &= commas - 1) {
        const char* const end = block + __builtin_ctzll(commas);
        if (!plain_number(begin, end, *found) && !other_number(begin, end, *found)) return false;
        ++found;
        begin = end + 1;
        begin += *begin == ' ';
      }
      numbers.filled(found);
      if (closing != 0) break;
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

  static constexpr size_t AT_ONCE = 64;
  static constexpr double LARGEST = 9007199254740991;  // up to it no two whole numbers are one double

  Cursor cursor_;
  const char* begin_;
  const char* end_;
  const char* copied_;  // what lies before is in `rest`
  size_t arrays_ = 0;
};

}  // namespace driftd
