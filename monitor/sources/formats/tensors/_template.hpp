// Messages that differ in their numbers, texts, number of rows and id alone (HOT): a template is made of one, and others are read by it.
// Knows nothing of Python.
//
//   {"id": "r-1", "inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [1.5, null]}]}
//   {"id": "***", "inputs": [{"name": "x", "shape": [*, 1], "datatype": "FP64", "data": *****]}]}
//
// What lies between these places has to be the same, byte by byte, so that a message that a template reads is as well-formed as the one
// that it was made of. What a place is worth is told by whoever has the template: a probe, which is the message with 0, 1, 2 … in place
// of its numbers and texts, is read as any message is, and shows where they come to lie.
//
// Tensors may lie behind the JSON as their bytes (`binary_data_size`), in the order in which it names them: each is a place, too.
#pragma once

#include "../json/_hash.hpp"
#include "../json/_table.hpp"
#include "_arrays.hpp"
#include "_walking.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace driftd {

constexpr size_t MOST_MESSAGE = size_t{1} << 20;  // bytes; a longer one is refused
constexpr uint64_t FIRST_TEXT = 100'000'000'000;  // texts of a probe: digits that are JSON, and base64, too
constexpr int64_t MOST_CLAIMED = 99'999'999;      // rows

// `size` are the bytes of a tensor behind the message's JSON; the last four are such tensors.
enum class Place : uint8_t { nothing, id, rows, numbers, texts, size, doubles, floats, longs, ints };

constexpr bool is_array(Place place) { return place == Place::numbers || place == Place::texts || place > Place::size; }

// Bytes of an element; 0 where elements are text.
constexpr size_t bytes_of(Place place) { return place == Place::doubles || place == Place::longs ? 8 : place == Place::floats || place == Place::ints ? 4 : 0; }

// A tensor of this type as it lies in memory, the lowest byte first; nothing where its numbers are told apart by no probe.
inline Place place_of(std::string_view datatype) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (datatype == "FP64") return Place::doubles;
  if (datatype == "FP32") return Place::floats;
  if (datatype == "INT64") return Place::longs;
  if (datatype == "INT32") return Place::ints;
#else
  (void)datatype;
#endif
  return Place::nothing;
}

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
    if (!header() || !(sized_.empty() ? cursor_.ends() : behind()) || !is_plain()) return false;
    write();
    return true;
  }

 private:
  struct Sized {
    size_t object, size;
  };

  bool member(std::string_view key, int depth, size_t self) {
    if (!once(key, self)) return false;
    if (key == "id" && depth == 1) return *cursor_.at == '"' ? identity(self) : cursor_.literal("null");
    if (key == "datatype" && *cursor_.at == '"') return datatype(self);
    if (key == "parameters" && *cursor_.at == '{') parameters_ = {objects_, self};
    if (key == "binary_data_size" && self == parameters_.object) size(parameters_.tensor);
    const bool shaped = key == "data" || key == "values";
    const bool listed = key == "ndarray" || (depth == 1 && (key == "instances" || key == "predictions" || key == "inputs" || key == "outputs"));
    if (*cursor_.at == '[' && key == "shape") shape(self);
    if (*cursor_.at == '[' && (shaped || listed) && depth + 2 <= MAX_DEPTH && array(self, shaped)) return true;
    return value(depth);
  }

  // Whether an object says a key for the first time, of those whose values are places: the last one counts, and may be none.
  bool once(std::string_view key, size_t self) {
    static constexpr std::array<std::string_view, 5> KEYS{"id", "shape", "datatype", "parameters", "binary_data_size"};
    const auto* const found = std::find(KEYS.begin(), KEYS.end(), key);
    if (found == KEYS.end()) return true;
    said_.resize(objects_);
    const auto bit = static_cast<uint8_t>(1U << (found - KEYS.begin()));
    if ((said_[self] & bit) != 0) return false;
    said_[self] |= bit;
    return true;
  }

  bool identity(size_t self) {
    std::string scratch;
    std::string_view id;
    const char* const begin = cursor_.at + 1;
    if (!cursor_.string(id, scratch) || !plain(id)) return false;
    spots.push_back({Place::id, begin, cursor_.at - 1, self});
    return true;
  }

  bool datatype(size_t self) {
    std::string scratch;
    std::string_view text;
    if (!cursor_.string(text, scratch)) return false;
    kinds_.resize(objects_, Place::nothing);
    kinds_[self] = place_of(text);
    return true;
  }

  // A count from there on; the same place where there is none that is a place.
  static const char* past_count(const char* begin) {
    const char* end = begin;
    while (is_digit(*end) && end - begin < 9) ++end;
    const bool ended = *end == ',' || *end == ']' || *end == '}' || *end == ' ';
    return end - begin < 9 && *begin != '0' && ended ? end : begin;
  }

  // The first of a shape's numbers, which is that of the rows.
  void shape(size_t self) {
    const char* const begin = past_space(cursor_.at + 1);
    const char* const end = past_count(begin);
    if (end > begin) spots.push_back({Place::rows, begin, end, self});
  }

  // The bytes that a tensor has behind the JSON.
  void size(size_t tensor) {
    const char* const end = past_count(cursor_.at);
    if (end == cursor_.at) return;
    size_t found = 0;
    for (const char* digit = cursor_.at; digit < end; ++digit) found = found * 10 + static_cast<size_t>(*digit - '0');
    spots.push_back({Place::size, cursor_.at, end, tensor});
    sized_.push_back({tensor, found});
  }

  // Past the tensors behind the JSON, of which nothing is left.
  bool behind() {
    kinds_.resize(objects_, Place::nothing);
    for (const Sized& each : sized_) {
      const Place kind = kinds_[each.object];
      const size_t bytes = bytes_of(kind);
      if (bytes == 0 || each.size % bytes != 0 || each.size > cursor_.left(cursor_.at)) return false;
      Spot spot{kind, cursor_.at, cursor_.at + each.size, each.object, each.size / bytes};
      spot.shaped = true;
      spots.push_back(spot);
      cursor_.at += each.size;
    }
    return cursor_.at == end_;
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
    std::vector<uint8_t> arrays(objects_), shapes(objects_), ids(objects_), sizes(objects_), needed(objects_);
    size_t elements = 0;
    for (const Spot& spot : spots) {
      auto& of = spot.place == Place::id ? ids : spot.place == Place::rows ? shapes : spot.place == Place::size ? sizes : arrays;
      if (of[spot.object]++ != 0) return false;
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
      if (bytes_of(spot.place) != 0) {
        number = write_raw(spot, number);
        continue;
      }
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

  // The numbers from one on, each exact in its type: a message that is learnt from has fewer than 2^24 bytes. Which comes next.
  uint64_t write_raw(const Spot& spot, uint64_t number) {
    const auto put = [this](auto value) { probe.append(reinterpret_cast<const char*>(&value), sizeof value); };
    for (const uint64_t end = number + spot.count; number < end; ++number) {
      if (spot.place == Place::doubles) put(static_cast<double>(number));
      else if (spot.place == Place::floats) put(static_cast<float>(number));
      else if (spot.place == Place::longs) put(static_cast<int64_t>(number));
      else put(static_cast<int32_t>(number));
    }
    return number;
  }

  struct {
    size_t object = SIZE_MAX, tensor = 0;
  } parameters_;               // the last ones, and whose they are
  std::vector<uint8_t> said_;  // by object: which of some keys it has said
  std::vector<Place> kinds_;   // by object: what its tensor is behind the JSON
  std::vector<Sized> sized_;   // tensors behind the JSON, in their order
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

// So few bytes that a call would take longer.
inline void copy_few(char* to, const char* from, size_t size) {
  const char* const end = from + size;
  for (; end - from >= 8; to += 8, from += 8) std::memcpy(to, from, 8);
  if ((size & 4) != 0) std::memcpy(to, from, 4), to += 4, from += 4;
  if ((size & 2) != 0) std::memcpy(to, from, 2), to += 2, from += 2;
  if ((size & 1) != 0) *to = *from;
}

// Columns that rows are written to; of numbers that are missing and infinite, and of codes that are missing, how many there are.
struct Columns {
  const Codes* categories = nullptr;
  Field<double> numbers;
  Field<int32_t> codes;
  Field<uint64_t> ids, more;
  Field<int64_t> times;
  int64_t* lacking = nullptr;  // a number or code column each
  int64_t width = 0, coded = 0, room = 0;
  int64_t rows = 0, nameless = 0;  // and how many of them have no id
  char* whole = nullptr;  // the rows that these are fields of, if they are: what else is in them is as in a `blank` one
  const char* blank = nullptr;
  ptrdiff_t row_bytes = 0;

  // What stands before the numbers of rows, between these and the codes, and behind; with their time.
  void lay(int64_t count, int64_t time) const {
    const auto first = static_cast<size_t>(numbers.begin - whole), numbered = static_cast<size_t>(numbers.at(0, width) - whole);
    const auto second = static_cast<size_t>(codes.begin - whole), coded_to = static_cast<size_t>(codes.at(0, coded) - whole);
    const auto size = static_cast<size_t>(row_bytes);
    for (int64_t row = rows; row < rows + count; ++row) {
      char* const begin = whole + row * row_bytes;
      copy_few(begin, blank, first);
      copy_few(begin + numbered, blank + numbered, second - numbered);
      copy_few(begin + coded_to, blank + coded_to, size - coded_to);
      times.put(row, 0, time);
    }
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
  int target = 0, label = 0;  // whose columns it fills, and what is told of its messages
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

  // Their time, and their ids: that of their message, and a number each.
  void taken(std::string_view own, int64_t time) {
    if (to_.whole != nullptr) to_.lay(rows, time);
    if (to_.ids.begin != nullptr) identify(own);
    if (own.empty()) to_.nameless += rows;
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
      case Place::size: return size();
      case Place::doubles: return raw<double>(part);
      case Place::floats: return raw<float>(part);
      case Place::longs: return raw<int64_t>(part);
      case Place::ints: return raw<int32_t>(part);
    }
    return false;
  }

  bool identity() {
    const char* const begin = cursor_.at--;
    if (!cursor_.string(id, scratch_) || id.data() != begin) return false;
    return --cursor_.at, true;
  }

  bool claim() {
    const int64_t found = count();
    return found > 0 && found <= most_ && agree(found);
  }

  bool size() {
    const int64_t found = count();
    sizes_.push_back(static_cast<size_t>(found));
    return found > 0;
  }

  // A whole number that does not begin with 0; 0 where there is none.
  int64_t count() {
    int64_t found = 0;
    if (*cursor_.at == '0') return 0;
    for (; is_digit(*cursor_.at) && found <= MOST_CLAIMED; ++cursor_.at) found = found * 10 + (*cursor_.at - '0');
    return found;
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

  // A tensor behind the JSON. What is infinite, or a whole number that is none of the doubles, is left. Nothing but space there is none.
  template <typename T>
  bool raw(const Part& part) {
    if (read_ == 0 && std::all_of(cursor_.at, end_, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; })) return false;
    if (read_ == sizes_.size()) return false;
    const size_t size = sizes_[read_++], each = part.columns.size();
    if (size % sizeof(T) != 0 || size > cursor_.left(cursor_.at) || !agree(size / sizeof(T), each)) return false;
    for (size_t at = 0; at < each; ++at) {
      size_t missing = 0;
      if (!copied<T>(cursor_.at + at * sizeof(T), each * sizeof(T), cell(part.columns[at]), missing)) return false;
      lack(part.columns[at], missing);
    }
    cursor_.at += size;
    return true;
  }

  // The numbers of a column, from so many bytes to so many.
  template <typename T>
  bool copied(const char* from, size_t step, Cells::Cell to, size_t& missing) const {
    for (int64_t row = 0; row < rows; ++row, from += step, to.at += to.step) {
      T held;
      std::memcpy(&held, from, sizeof held);
      double value = static_cast<double>(held) + 0.0;  // of -0 it makes 0
      if constexpr (sizeof(T) == 8 && !std::is_floating_point_v<T>) {
        if (!(value <= LARGEST && value >= -LARGEST)) return false;
      } else if (std::is_floating_point_v<T> && value - value != 0) {
        if (std::isinf(value)) return false;
        value = std::numeric_limits<double>::quiet_NaN();
        ++missing;
      }
      std::memcpy(to.at, &value, sizeof value);
    }
    return true;
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
    if (to_.more.begin == nullptr) return number<1>(own, {FIRST}, {to_.ids});
    number<2>(own, {FIRST, SECOND}, {to_.ids, to_.more});
  }

  // The hashes of `ID#0`, `ID#1`, …, as `hash_id` has them: what they have in common is hashed once for each number of digits.
  template <size_t LANES>
  void number(std::string_view own, const std::array<Lane, LANES>& lanes, const std::array<Field<uint64_t>, LANES>& to) const {
    char tail[32] = {};  // what stands behind counts as nothing
    const size_t common = own.size() / 8 * 8, left = own.size() - common;
    std::memcpy(tail, own.data() + common, left);
    tail[left] = '#';
    int64_t row = 0;
    for (int64_t digits = 1, end = 10; row < rows; ++digits, end *= 10) {
      const size_t size = left + 1 + static_cast<size_t>(digits);
      std::array<uint64_t, LANES> begun;
      for (size_t lane = 0; lane < LANES; ++lane) {
        begun[lane] = lanes[lane].seed ^ (common + size);
        for (size_t at = 0; at < common; at += 8) begun[lane] = mix_id(begun[lane], word_at(own.data() + at), lanes[lane].step);
      }
      std::memset(tail + left + 1, '0', static_cast<size_t>(digits));
      tail[left + 1] += digits > 1;
      const size_t last = (size - 1) / 8, shift = (size - 1) % 8 * 8;  // where the last digit stands
      for (const int64_t stop = std::min(end, rows);;) {
        std::array<uint64_t, LANES> mixed = begun;
        for (size_t lane = 0; lane < LANES; ++lane)
          for (size_t at = 0; at < last; ++at) mixed[lane] = mix_id(mixed[lane], word_at(tail + at * 8), lanes[lane].step);
        uint64_t word = little_endian(word_at(tail + last * 8));
        for (const int64_t ten = std::min(stop, row + 10); row < ten; ++row, word += uint64_t{1} << shift)
          for (size_t lane = 0; lane < LANES; ++lane) to[lane].put(to_.rows + row, 0, last_of(mix_id(mixed[lane], little_endian(word), lanes[lane].step)));
        if (row == stop) break;
        char* digit = tail + size - 2;  // all that have this last but one are done with
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
  std::vector<size_t> sizes_;  // of tensors behind the JSON
  size_t read_ = 0;            // of these
  bool full_ = false;
};

}  // namespace driftd
