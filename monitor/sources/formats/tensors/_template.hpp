// Messages that differ in their numbers, texts, number of rows and id alone (HOT): a template is made of one, and others are read by it.
// Knows nothing of Python.
//
//   {"id": "r-1", "inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [1.5, null]}]}
//   {"id": "***", "inputs": [{"name": "x", "shape": [*, 1], "datatype": "FP64", "data": *****]}]}
//
// What lies between these places has to be the same, byte by byte, so that a message that a template reads is as well-formed as the one
// that it was made of. What a place is worth is told by whoever has the template: a probe, which is the message with 0, 1, 2 … in place
// of its numbers and texts, is read as any message is, and shows where they come to lie.
#pragma once

#include "../json/_hash.hpp"
#include "../json/_table.hpp"
#include "_arrays.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace driftd {

constexpr size_t MOST_MESSAGE = size_t{1} << 20;  // bytes; a longer one is refused
constexpr uint64_t FIRST_TEXT = 100'000'000'000;  // texts of a probe: digits that are JSON, and base64, too
constexpr int64_t MOST_CLAIMED = 99'999'999;      // rows

enum class Place : uint8_t { nothing, id, rows, numbers, texts };

// A place of a message of which a template is made.
struct Spot {
  Place place;
  const char* begin;
  const char* end;
  size_t object;      // that it stands in
  size_t count = 0;   // elements
  size_t width = 0;   // of inner arrays, 0: there are none
  bool shaped = false;  // a shape has to stand beside it
};

// --- making one ---------------------------------------------------------------------------------------------------------

class Learner {
 public:
  // A NUL stands at `end`.
  Learner(const char* begin, const char* end)
      : own_(static_cast<size_t>(end - begin) / 2 + SPARE), numbers_(own_.data(), own_.data() + own_.size()), cursor_(begin, end), arrays_(cursor_, numbers_), begin_(begin), end_(end) {}

  std::vector<Spot> spots;
  std::string probe;

  // Whether the message is wholly understood, and has places of numbers or texts.
  bool run() {
    cursor_.space();
    if (*cursor_.at != '{' || !object(1) || !cursor_.ends() || !is_plain()) return false;
    write();
    return true;
  }

 private:
  bool object(int depth) {
    const size_t self = objects_++;
    std::string scratch;
    cursor_.step();
    if (*cursor_.at == '}') return cursor_.pass();
    for (;;) {
      std::string_view key;
      if (*cursor_.at != '"' || !cursor_.string(key, scratch) || !plain(key) || !cursor_.colon()) return false;
      if (!member(key, depth, self)) return false;
      cursor_.space();
      if (*cursor_.at == '}') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  bool member(std::string_view key, int depth, size_t self) {
    if (key == "id" && depth == 1) return *cursor_.at == '"' ? identity(self) : cursor_.literal("null");
    const bool shaped = key == "data" || key == "values";
    const bool whole = key == "ndarray" || (depth == 1 && (key == "instances" || key == "predictions" || key == "inputs" || key == "outputs"));
    if (*cursor_.at == '[' && key == "shape") shape(self);
    if (*cursor_.at == '[' && (shaped || whole) && depth + 2 <= MAX_DEPTH && array(self, shaped)) return true;
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

  // Whether a text lies in the message as it is meant.
  bool plain(std::string_view text) const { return text.data() >= begin_ && text.data() <= end_; }

  bool identity(size_t self) {
    std::string scratch;
    std::string_view id;
    const char* const begin = cursor_.at + 1;
    if (!cursor_.string(id, scratch) || !plain(id)) return false;
    spots.push_back({Place::id, begin, cursor_.at - 1, self});
    return true;
  }

  // The first of a shape's numbers, which is that of the rows.
  void shape(size_t self) {
    const char* const begin = past_space(cursor_.at + 1);
    const char* end = begin;
    while (is_digit(*end) && end - begin < 9) ++end;
    if (end > begin && end - begin < 9 && *begin != '0' && (*end == ',' || *end == ']' || *end == ' ')) spots.push_back({Place::rows, begin, end, self});
  }

  // Past an array that is a place; false, and nothing is changed, where it is none.
  bool array(size_t self, bool shaped) {
    const char* const begin = cursor_.at;
    const char first = *past_space(begin + 1);
    Spot spot{first == '"' ? Place::texts : Place::numbers, begin, begin, self};
    spot.shaped = shaped;
    numbers_.clear();
    bool found = false;
    if (first == '"') {
      found = arrays_.texts([&](const std::string_view*) { return ++spot.count, true; });
    } else if (first != '{' && first != ']') {
      found = first == '[' ? arrays_.rows(spot.width) : arrays_.flat();
      spot.count = numbers_.size();
    }
    spot.end = cursor_.at;
    if (found) spots.push_back(spot);
    else cursor_.at = begin;
    return found;
  }

  // Whether each object has one place of a kind at most, and a shape beside each array that needs one, and no other.
  bool is_plain() const {
    std::vector<uint8_t> arrays(objects_), shapes(objects_), ids(objects_), needed(objects_);
    size_t elements = 0;
    for (const Spot& spot : spots) {
      uint8_t& seen = spot.place == Place::id ? ids[spot.object] : spot.place == Place::rows ? shapes[spot.object] : arrays[spot.object];
      if (seen++ != 0) return false;
      needed[spot.object] |= spot.shaped;
      elements += spot.count;
    }
    return elements != 0 && shapes == needed;
  }

  void write() {
    const char* copied = begin_;
    uint64_t number = 0;
    for (const Spot& spot : spots) {
      if (spot.count == 0) continue;
      probe.append(copied, spot.begin);
      copied = spot.end;
      for (size_t at = 0; at < spot.count; ++at, ++number) {
        probe += at == 0 ? '[' : ',';
        if (spot.width != 0 && at % spot.width == 0) probe += '[';
        probe += spot.place == Place::texts ? '"' + std::to_string(FIRST_TEXT + number) + '"' : std::to_string(number);
        if (spot.width != 0 && at % spot.width == spot.width - 1) probe += ']';
      }
      probe += ']';
    }
    probe.append(copied, end_);
  }

  std::vector<double> own_;
  Doubles numbers_;
  Cursor cursor_;
  Arrays arrays_;
  const char* begin_;
  const char* end_;
  size_t objects_ = 0;
};

// --- reading by one -----------------------------------------------------------------------------------------------------

// Categories of a column: the codes of texts, of any other text, of none.
struct Codes {
  Table texts;
  int32_t unseen = 0, missing = 0;
};

// Columns that rows are written to; of numbers that are missing and infinite, and of codes that are missing, how many there are.
struct Columns {
  const Codes* categories = nullptr;
  double* numbers = nullptr;
  int32_t* codes = nullptr;
  uint64_t* ids = nullptr;   // null: none are read
  uint64_t* more = nullptr;  // null: not wanted
  int64_t* lacking = nullptr;  // a number or code column each
  int64_t width = 0, coded = 0, room = 0;
  int64_t rows = 0;
};

constexpr int32_t NOBODY = -1;  // asks for a column

// What stands before a place, and the place; of an array the cells of a row, and the column of each.
struct Part {
  std::string text;
  Place place = Place::nothing;
  size_t width = 0;
  std::vector<int32_t> columns;
};

struct Template {
  std::vector<Part> parts;
  int target = 0;
};

enum class Outcome : uint8_t { read, other, full };

class TemplateReader {
 public:
  // A NUL stands at `end`. `numbers` has room for half of the message's bytes, and SPARE more.
  TemplateReader(const Template& made, const char* begin, const char* end, Doubles& numbers, Columns& to)
      : made_(made), cursor_(begin, end), end_(end), most_((end - begin) / 2), numbers_(numbers), arrays_(cursor_, numbers), to_(to) {}

  int64_t rows = 0;
  std::string_view id;

  // Into the rows behind those that there are; they count as soon as `taken` says so.
  Outcome read() {
    for (const Part& part : made_.parts) {
      if (cursor_.left(cursor_.at) < part.text.size() || std::memcmp(cursor_.at, part.text.data(), part.text.size()) != 0) return Outcome::other;
      cursor_.at += part.text.size();
      if (!place(part)) return full_ ? Outcome::full : Outcome::other;
    }
    return cursor_.at == end_ && rows > 0 ? Outcome::read : Outcome::other;
  }

  // Their ids: that of their message, and a number each.
  void taken(std::string_view own) {
    if (to_.ids != nullptr) identify(own);
    for (const auto& [column, count] : lacking_) to_.lacking[column] += count;
    to_.rows += rows;
  }

 private:
  bool place(const Part& part) {
    switch (part.place) {
      case Place::nothing: return true;
      case Place::id: return identity();
      case Place::rows: return claim();
      case Place::numbers: return numbers(part);
      case Place::texts: return texts(part);
    }
    return false;
  }

  bool identity() {
    const char* const begin = cursor_.at--;
    if (!cursor_.string(id, scratch_) || id.data() != begin) return false;
    return --cursor_.at, true;
  }

  bool claim() {
    int64_t found = 0;
    const char* const begin = cursor_.at;
    if (*begin == '0') return false;
    for (; is_digit(*cursor_.at) && found <= MOST_CLAIMED; ++cursor_.at) found = found * 10 + (*cursor_.at - '0');
    return cursor_.at != begin && found <= most_ && agree(found);
  }

  // Whether there are as many as elsewhere in the message, and room for them.
  bool agree(int64_t found) {
    if (rows == 0) {
      rows = found;
      full_ = found > to_.room - to_.rows;
    }
    return found == rows && !full_;
  }

  bool agree(size_t cells, size_t each) { return cells % each == 0 && agree(static_cast<int64_t>(cells / each)); }

  bool numbers(const Part& part) {
    numbers_.clear();
    size_t width = part.width;
    if (*cursor_.at != '[' || !(width != 0 ? arrays_.rows(width) : arrays_.flat())) return false;
    const size_t each = part.columns.size();
    if (!agree(numbers_.size(), each)) return false;
    for (size_t cell = 0; cell < each; ++cell)
      if (part.columns[cell] != NOBODY) column(part.columns[cell], numbers_.data() + cell, each);
    return true;
  }

  void column(int32_t column, const double* from, size_t step) {
    double* to = to_.numbers + to_.rows * to_.width + column;
    double sum = 0;
    for (int64_t row = 0; row < rows; ++row, from += step, to += to_.width) {
      *to = *from;
      sum += *from * 0;  // a NaN where any of them is none
    }
    if (sum == 0) return;
    int64_t lacking = 0;
    to = to_.numbers + to_.rows * to_.width + column;
    for (int64_t row = 0; row < rows; ++row, to += to_.width) lacking += std::isnan(*to);
    lacking_.emplace_back(column, lacking);
  }

  bool texts(const Part& part) {
    if (*cursor_.at != '[') return false;
    const size_t each = part.columns.size();
    size_t at = 0, limit = rows != 0 ? static_cast<size_t>(rows) * each : static_cast<size_t>(to_.room - to_.rows) * each;
    std::vector<int64_t> lacking(each);
    const bool whole = arrays_.texts([&](const std::string_view* text) {
      if (at == limit) return full_ = rows == 0, false;
      const size_t cell = at % each;
      const int32_t column = part.columns[cell];
      if (column != NOBODY) {
        const Codes& known = to_.categories[column];
        const int32_t found = text == nullptr ? known.missing : known.texts.find(*text);
        const int32_t code = found < 0 ? known.unseen : found;
        to_.codes[(to_.rows + static_cast<int64_t>(at / each)) * to_.coded + column] = code;
        lacking[cell] += code == known.missing;
      }
      return ++at, true;
    });
    if (!whole || !agree(at, each)) return false;
    for (size_t cell = 0; cell < each; ++cell)
      if (lacking[cell] != 0) lacking_.emplace_back(static_cast<int32_t>(to_.width) + part.columns[cell], lacking[cell]);
    return true;
  }

  void identify(std::string_view own) const {
    const Lane lanes[] = {FIRST, SECOND};
    uint64_t* const columns[] = {to_.ids + to_.rows, to_.more == nullptr ? nullptr : to_.more + to_.rows};
    for (int lane = 0; lane < 2; ++lane) {
      if (columns[lane] == nullptr) continue;
      if (own.empty()) std::fill_n(columns[lane], rows, uint64_t{0});
      else number(own, lanes[lane], columns[lane]);
    }
  }

  // The hashes of `ID#0`, `ID#1`, …: what they have in common is hashed once for each number of digits.
  void number(std::string_view own, const Lane& lane, uint64_t* to) const {
    char tail[32];
    const size_t common = own.size() / 8 * 8, left = own.size() - common;
    std::memcpy(tail, own.data() + common, left);
    tail[left] = '#';
    int64_t row = 0;
    for (int64_t digits = 1, end = 10; row < rows; ++digits, end *= 10) {
      const size_t size = left + 1 + static_cast<size_t>(digits);
      uint64_t begun = lane.seed ^ (common + size);
      for (size_t at = 0; at < common; at += 8) begun = mix_id(begun, word_at(own.data() + at), lane.step);
      for (; row < std::min(end, rows); ++row) {
        int64_t rest = row;
        for (size_t at = size; at > left + 1; rest /= 10) tail[--at] = static_cast<char>('0' + rest % 10);
        to[row] = finished(begun, tail, size, lane);
      }
    }
  }

  static uint64_t finished(uint64_t mixed, const char* at, size_t left, const Lane& lane) {
    uint64_t word = 0;
    for (; left >= 8; at += 8, left -= 8) mixed = mix_id(mixed, word_at(at), lane.step);
    if (left > 0) {
      std::memcpy(&word, at, left);
      mixed = mix_id(mixed, word, lane.step);
    }
    return last_of(mixed);
  }

  const Template& made_;
  Cursor cursor_;
  const char* end_;
  const int64_t most_;  // rows that there can be: each takes two bytes at least
  Doubles& numbers_;
  Arrays arrays_;
  Columns& to_;
  std::string scratch_;
  std::vector<std::pair<int32_t, int64_t>> lacking_;
  bool full_ = false;
};

}  // namespace driftd
