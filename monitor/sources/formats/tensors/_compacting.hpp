// A JSON message whose flat arrays of numbers under keys `data` are taken out. Knows nothing of Python.
//
//   {"id": "r-1", "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1.5, null]}]}
//   {"id": "", "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [0,2]}]}    and 1.5, NaN, r-1
//
// What is left of such an array is its place among them and its length. No other array of two whole numbers is left under such a
// key: one that could not be taken out has the whole message left alone, as has a key that is written with escapes.
#pragma once

#include "_arrays.hpp"
#include "_walking.hpp"

#include <string>
#include <string_view>

namespace driftd {

class Compactor : Walk<Compactor> {
  friend Walk;

 public:
  // A NUL stands at `end`.
  Compactor(const char* begin, const char* end, double* room, double* limit)
      : Walk(begin, end), numbers(room, sizeof(double), static_cast<size_t>(limit - room)), arrays_(cursor_, numbers), copied_(begin) {}

  std::string rest;
  Line numbers;  // as many as there are, whatever is claimed
  std::string_view id;
  bool has_id = false;

  // Whether the message is wholly understood.
  bool run() {
    if (!whole()) return false;
    rest.append(copied_, end_);
    return true;
  }

 private:
  bool member(std::string_view key, int depth, size_t) {
    if (key == "data" && *cursor_.at == '[' && is_flat()) return array();
    if (key == "id" && depth == 1 && has_id) return false;  // of two the last counts, whatever it is
    if (key == "id" && depth == 1 && *cursor_.at == '"') return identity();
    return value(depth);
  }

  bool identity() {
    std::string scratch;
    const char* const quote = cursor_.at;
    if (!cursor_.string(id, scratch) || !plain(id)) return false;
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
    const char* const first = past_space(opening + 1);
    if (*first == ']') cursor_.at = first + 1;
    else if (!arrays_.flat()) return false;
    rest.append(copied_, opening);
    rest += '[' + std::to_string(taken_++) + ',' + std::to_string(numbers.size() - before) + ']';
    copied_ = cursor_.at;
    return true;
  }

  Arrays<Line> arrays_;
  const char* copied_;  // what lies before is in `rest`
  size_t taken_ = 0;  // arrays
};

}  // namespace driftd
