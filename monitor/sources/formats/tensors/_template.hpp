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
#include "_walking.hpp"

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

class Learner : Walk<Learner> {
  friend Walk;

 public:
  // A NUL stands at `end`.
  Learner(const char* begin, const char* end) : Walk(begin, end) {}

  std::vector<Spot> spots;
  std::string probe;

  // Whether the message is wholly understood, and has places of numbers or texts.
  bool run() {
    if (!whole() || !is_plain()) return false;
    write();
    return true;
  }

 private:
  bool member(std::string_view key, int depth, size_t self) {
    if (key == "id" && depth == 1) return *cursor_.at == '"' ? identity(self) : cursor_.literal("null");
    const bool shaped = key == "data" || key == "values";
    const bool listed = key == "ndarray" || (depth == 1 && (key == "instances" || key == "predictions" || key == "inputs" || key == "outputs"));
    if (*cursor_.at == '[' && key == "shape") shape(self);
    if (*cursor_.at == '[' && (shaped || listed) && depth + 2 <= MAX_DEPTH && array(self, shaped)) return true;
    return value(depth);
  }

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
    bool found = false;
    if (first == '"') {
      found = texts_of(cursor_, [&](const std::string_view*) { return ++spot.count, true; });
    } else if (first != '{' && first != ']') {
      double last;
      Line numbers(&last, 0, SIZE_MAX);  // they are only counted
      Arrays<Line> arrays(cursor_, numbers);
      found = first == '[' ? arrays.rows(spot.width) : arrays.flat();
      spot.count = numbers.size();
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
};

// --- reading by one -----------------------------------------------------------------------------------------------------

// Categories of a column: the codes of texts, of any other text, of none.
struct Codes {
  Table texts;
  int32_t unseen = 0, missing = 0;
};

// Values of rows that lie so many bytes apart, aligned to nothing, those of a row one behind another.
template <typename T>
struct Field {
  char* begin = nullptr;  // null: not wanted
  ptrdiff_t step = 0;

  char* at(int64_t row, int64_t column = 0) const { return begin + row * step + column * static_cast<ptrdiff_t>(sizeof(T)); }
  void put(int64_t row, int64_t column, T value) const { std::memcpy(at(row, column), &value, sizeof value); }
};

// Columns that rows are written to; of numbers that are missing and infinite, and of codes that are missing, how many there are.
struct Columns {
  const Codes* categories = nullptr;
  Field<double> numbers;
  Field<int32_t> codes;
  Field<uint64_t> ids, more;
  int64_t* lacking = nullptr;  // a number or code column each
  int64_t width = 0, coded = 0, room = 0;
  int64_t rows = 0;
  char* whole = nullptr;     // the rows that these are fields of, if they are: what else is in them becomes 0
  ptrdiff_t row_bytes = 0;

  // What stands before the numbers of a row, between these and the codes, and behind.
  void clear(int64_t row) const {
    char* const begin = whole + row * row_bytes;
    char *const first = numbers.at(row), *const second = codes.at(row), *const numbered = numbers.at(row, width);
    char* const coded_to = codes.at(row, coded);
    std::memset(begin, 0, static_cast<size_t>(first - begin));
    std::memset(numbered, 0, static_cast<size_t>(second - numbered));
    std::memset(coded_to, 0, static_cast<size_t>(begin + row_bytes - coded_to));
  }

  // Have rows fetched that will be written next, column by column.
  void expect(int64_t count) const {
    constexpr ptrdiff_t LINE = 64;
    for (const char *at = whole + rows * row_bytes, *const end = at + count * row_bytes; at < end; at += LINE) __builtin_prefetch(at, 1);
  }
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
  // A NUL stands at `end`.
  TemplateReader(const Template& made, const char* begin, const char* end, Columns& to)
      : made_(made), cursor_(begin, end), end_(end), most_((end - begin) / 2), to_(to) {}

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
    for (int64_t row = to_.rows; to_.whole != nullptr && row < to_.rows + rows; ++row) to_.clear(row);
    if (to_.ids.begin != nullptr) identify(own);
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
      if (to_.whole != nullptr && !full_) to_.expect(found);
    }
    return found == rows && !full_;
  }

  bool agree(size_t cells, size_t each) { return cells % each == 0 && agree(static_cast<int64_t>(cells / each)); }

  // How many elements of an array of rows of so many there may be.
  size_t most(size_t each) const { return static_cast<size_t>(rows != 0 ? rows : to_.room - to_.rows) * each; }

  // Where a column's first number goes, and how far from it the next one.
  Cells::Cell cell(int32_t column) {
    if (column == NOBODY) return {reinterpret_cast<char*>(&nowhere_), 0};
    return {to_.numbers.at(to_.rows, column), to_.numbers.step};
  }

  bool numbers(const Part& part) {
    const size_t each = part.columns.size();
    if (each == 1) {
      const Cells::Cell to = cell(part.columns[0]);
      Line line(to.at, to.step, most(1));
      if (!filled(part, line)) return false;
      lack(part.columns[0], line.missing());
      return true;
    }
    cells_.clear();
    for (const int32_t column : part.columns) cells_.push_back(cell(column));
    Cells cells(cells_, most(each));
    if (!filled(part, cells)) return false;
    for (size_t at = 0; at < each; ++at) lack(part.columns[at], cells_[at].missing);
    return true;
  }

  template <typename Numbers>
  bool filled(const Part& part, Numbers& numbers) {
    Arrays<Numbers> arrays(cursor_, numbers);
    size_t width = part.width;
    if (*cursor_.at == '[' && (width != 0 ? arrays.rows(width) : arrays.flat())) return agree(numbers.size(), part.columns.size());
    full_ = rows == 0 && numbers.refused();
    return false;
  }

  void lack(int32_t column, size_t count) {
    if (column != NOBODY && count != 0) lacking_.emplace_back(column, static_cast<int64_t>(count));
  }

  bool texts(const Part& part) {
    if (*cursor_.at != '[') return false;
    const size_t each = part.columns.size(), limit = most(each);
    size_t at = 0;
    std::vector<size_t> lacking(each);
    const bool whole = texts_of(cursor_, [&](const std::string_view* text) {
      if (at == limit) return full_ = rows == 0, false;
      const size_t cell = at % each;
      const int32_t column = part.columns[cell];
      if (column != NOBODY) {
        const Codes& known = to_.categories[column];
        const int32_t found = text == nullptr ? known.missing : known.texts.find(*text);
        const int32_t code = found < 0 ? known.unseen : found;
        to_.codes.put(to_.rows + static_cast<int64_t>(at / each), column, code);
        lacking[cell] += code == known.missing;
      }
      return ++at, true;
    });
    if (!whole || !agree(at, each)) return false;
    for (size_t cell = 0; cell < each; ++cell)
      if (lacking[cell] != 0) lack(static_cast<int32_t>(to_.width) + part.columns[cell], lacking[cell]);
    return true;
  }

  void identify(std::string_view own) const {
    if (own.empty()) {
      for (int64_t row = 0; row < rows; ++row)
        for (const auto* ids : {&to_.ids, &to_.more})
          if (ids->begin != nullptr) ids->put(to_.rows + row, 0, 0);
      return;
    }
    number(own, FIRST, to_.ids);
    if (to_.more.begin != nullptr) number(own, SECOND, to_.more);
  }

  // The hashes of `ID#0`, `ID#1`, …, as `hash_id` has them: what they have in common is hashed once for each number of digits.
  void number(std::string_view own, const Lane& lane, const Field<uint64_t>& to) const {
    char tail[32] = {};  // what stands behind counts as nothing
    const size_t common = own.size() / 8 * 8, left = own.size() - common;
    std::memcpy(tail, own.data() + common, left);
    tail[left] = '#';
    int64_t row = 0;
    for (int64_t digits = 1, end = 10; row < rows; ++digits, end *= 10) {
      const size_t size = left + 1 + static_cast<size_t>(digits);
      uint64_t begun = lane.seed ^ (common + size);
      for (size_t at = 0; at < common; at += 8) begun = mix_id(begun, word_at(own.data() + at), lane.step);
      std::memset(tail + left + 1, '0', static_cast<size_t>(digits));
      tail[left + 1] += digits > 1;
      for (const int64_t stop = std::min(end, rows);;) {
        uint64_t mixed = begun;
        for (size_t at = 0; at < size; at += 8) mixed = mix_id(mixed, word_at(tail + at), lane.step);
        to.put(to_.rows + row, 0, last_of(mixed));
        if (++row == stop) break;
        char* digit = tail + size - 1;
        for (; *digit == '9'; --digit) *digit = '0';
        ++*digit;
      }
    }
  }

  const Template& made_;
  Cursor cursor_;
  const char* end_;
  const int64_t most_;  // rows that there can be: each takes two bytes at least
  Columns& to_;
  std::vector<Cells::Cell> cells_;
  double nowhere_ = 0;  // what nobody asks for
  std::string scratch_;
  std::vector<std::pair<int32_t, int64_t>> lacking_;
  bool full_ = false;
};

}  // namespace driftd
