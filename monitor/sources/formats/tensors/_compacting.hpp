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
#include <vector>

namespace driftd {

class Compactor {
 public:
  // A NUL stands at `end`.
  Compactor(const char* begin, const char* end) : cursor_(begin, end), begin_(begin), end_(end), copied_(begin) {}

  std::string rest;
  std::vector<double> numbers;  // as many as there are, whatever is claimed
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
      if (!number(value)) return false;
      numbers.push_back(value + 0.0);  // of -0 it makes 0: an integer has no such sign
      if (*cursor_.at != ',') cursor_.space();
      if (*cursor_.at == ']') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  // Past numbers that each have a comma behind them, a block at a time, as long as whole windows lie behind it; false where one
  // is none. At least the last of an array is left.
  bool plain_ones() {
#ifdef DRIFTD_WIDE
    uint16_t commas[BLOCK + WINDOW];
    double found[BLOCK];
    while (cursor_.left(cursor_.at) >= BLOCK + 2 * WINDOW) {
      const char* const begin = cursor_.at;
      const size_t count = commas_of(begin, BLOCK, commas);
      for (size_t at = 0; at < count; ++at) {
        const char* const end = begin + commas[at];
        if (!plain_number(cursor_.at, end, found[at])) {
          if (!number(found[at])) return false;
          cursor_.space();
          if (cursor_.at != end) return false;
        }
        found[at] += 0.0;  // as above
        cursor_.at = end + 1;
        if (*cursor_.at == ' ') ++cursor_.at;
      }
      numbers.insert(numbers.end(), found, found + count);
      cursor_.space();
      if (count < FEW) break;
    }
#endif
    return true;
  }

  bool number(double& value) {
#ifdef DRIFTD_WIDE
    if (cursor_.has_window(cursor_.at)) {
      const char* const behind = in_window(cursor_.at, value);
      if (behind != nullptr) return cursor_.at = behind, true;
    }
#endif
    if (*cursor_.at == 'n') {
      value = std::numeric_limits<double>::quiet_NaN();
      return cursor_.literal("null");
    }
    Number found;
    if (!cursor_.number(found)) return false;
    value = found.value;
    return !found.whole || (value <= LARGEST && value >= -LARGEST);  // a longer one is not what it reads as
  }

  static constexpr size_t AT_ONCE = 64;
  static constexpr size_t BLOCK = 512, FEW = 8;  // bytes looked at together, and numbers in it, below which that is not worth it
  static constexpr double LARGEST = 9007199254740991;  // up to it no two whole numbers are one double

  Cursor cursor_;
  const char* begin_;
  const char* end_;
  const char* copied_;  // what lies before is in `rest`
  size_t arrays_ = 0;
};

}  // namespace driftd
