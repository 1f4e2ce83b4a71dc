// Arrays of JSON one element type long (HOT): numbers one behind another, rows of numbers, texts. Knows nothing of Python.
#pragma once

#include "../json/_json.hpp"
#include "_fours.hpp"
#include "_plain.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace driftd {

constexpr double LARGEST = 9007199254740991;  // up to it no two whole numbers are one double

// --- where numbers go ---------------------------------------------------------------------------------------------------
//
// Memory of somebody else's, not aligned to anything. A writer is a copy for as long as it is known that there is room: what it
// writes could be the place itself, for all that the compiler knows.

// Numbers that lie so many bytes apart, `most` of them at most.
class Line {
 public:
  struct Writer {
    char* at;
    ptrdiff_t step;

    void put(double value) {
      std::memcpy(at, &value, sizeof value);
      at += step;
    }
  };

  Line(void* begin, ptrdiff_t step, size_t most) : writer_{static_cast<char*>(begin), step}, most_(most) {}

  size_t size() const { return size_; }
  size_t missing() const { return missing_; }
  bool refused() const { return refused_; }  // one for which there was no room
  bool has_room(size_t more) const { return more <= most_ - size_; }
  Writer writer() const { return writer_; }

  void wrote(const Writer& writer, size_t more) {
    writer_ = writer;
    size_ += more;
  }

  bool add(double value, bool missing) {
    if (size_ == most_) return refused_ = true, false;
    writer_.put(value);
    ++size_;
    missing_ += missing;
    return true;
  }

 private:
  Writer writer_;
  size_t most_, size_ = 0, missing_ = 0;
  bool refused_ = false;
};

// Numbers of rows of several cells, each cell a line of its own.
class Cells {
 public:
  struct Cell {
    char* at;
    ptrdiff_t step;
    size_t missing = 0;
  };

  struct Writer {
    Cell* cells;
    size_t width, next;

    void put(double value) {
      char* const at = cells[next].at;
      std::memcpy(at, &value, sizeof value);
      cells[next].at = at + cells[next].step;
      next = next + 1 == width ? 0 : next + 1;
    }
  };

  Cells(std::vector<Cell>& cells, size_t most) : cells(cells), writer_{cells.data(), cells.size(), 0}, most_(most) {}

  std::vector<Cell>& cells;

  size_t size() const { return size_; }
  bool refused() const { return refused_; }
  bool has_room(size_t more) const { return more <= most_ - size_; }
  Writer writer() const { return writer_; }

  void wrote(const Writer& writer, size_t more) {
    writer_ = writer;
    size_ += more;
  }

  bool add(double value, bool missing) {
    if (size_ == most_) return refused_ = true, false;
    cells[writer_.next].missing += missing;
    writer_.put(value);
    ++size_;
    return true;
  }

 private:
  Writer writer_;
  size_t most_, size_ = 0;
  bool refused_ = false;
};

// --- arrays ---------------------------------------------------------------------------------------------------------------

// Past `["a", null]`; `take` gets each text, none for null, and may refuse. False where anything else is in it.
template <typename Take>
bool texts_of(Cursor& cursor, Take take) {
  cursor.step();
  if (*cursor.at == ']') return false;
  std::string scratch;
  for (;;) {
    if (*cursor.at == '"') {
      std::string_view text;
      if (!cursor.string(text, scratch) || !take(&text)) return false;
    } else if (!cursor.literal("null") || !take(nullptr)) {
      return false;
    }
    cursor.space();
    if (*cursor.at == ']') return cursor.pass();
    if (*cursor.at != ',') return false;
    cursor.step();
  }
}

// Arrays of numbers at a cursor. A NUL stands at the end of the message.
template <typename Numbers>
class Arrays {
 public:
  Arrays(Cursor& cursor, Numbers& numbers) : cursor_(cursor), numbers_(numbers) {}

  // Past `[1, null, 2.5]`; false where anything else is in it, or there is no room.
  bool flat() {
    cursor_.step();
    if (*cursor_.at == ']') return false;
    for (;;) {
      bool closed = false;
      if (!plain_ones(closed)) return false;
      if (closed) return true;
      if (!next()) return false;
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

 private:
  // Past numbers and what ends each, as long as a window lies behind it; false where one is none. `closed`: past the array.
  bool plain_ones([[maybe_unused]] bool& closed) {
#ifdef DRIFTD_FOURS
    if (by_fours_) return shaped_ones(closed);
#endif
#ifdef DRIFTD_WIDE
    const char* begin = cursor_.at;
    for (;;) {
      const char* const chunk = begin;
      Marked marked;
      marked.mark(chunk, cursor_.left(chunk));
      if (marked.count == 0 || !numbers_.has_room(marked.count)) break;
      auto to = numbers_.writer();
      for (size_t at = 0, odd = 0; at < marked.count; at = odd + 1) {
        odd = plain_run(chunk, marked, at, begin, to);
        numbers_.wrote(to, odd - at);
        if (odd == marked.count) break;
        const char* const end = chunk + marked.ends[odd];
        if (!other_number(begin, end)) return false;
        to = numbers_.writer();
        begin = end + 1;
        begin += *begin == ' ';
      }
      if (marked.closed) {
        cursor_.at = chunk + marked.ends[marked.count - 1] + 1;
        return closed = true;
      }
    }
    cursor_.at = begin;
    cursor_.space();
#endif
    return true;
  }

#ifdef DRIFTD_FOURS
  // The same, up to the first that is no plain number.
  bool shaped_ones(bool& closed) {
    const uint32_t commas = cursor_.has_window(cursor_.at) ? equal_in(cursor_.at, ',') : 0;
    const bool spaced = commas != 0 && cursor_.at[lowest(commas) + 1] == ' ';
    for (;;) {
      const char* const chunk = cursor_.at;
      Shaped shaped(spaced);
      shaped.mark(chunk, cursor_.left(chunk));
      const size_t count = shaped.count();
      if (count == 0 || !numbers_.has_room(count)) break;
      auto to = numbers_.writer();
      for (size_t at = 0, odd = 0; at < count; at = odd + 1) {
        odd = shaped.read(chunk, at, to, cursor_.begin());
        numbers_.wrote(to, odd - at);
        if (odd == count) break;
        if (!other_number(shaped.begin_of(chunk, odd), shaped.end_of(chunk, odd))) return false;
        to = numbers_.writer();
      }
      cursor_.at = shaped.end_of(chunk, count - 1) + 1;
      if (shaped.closed()) return closed = true;
      cursor_.at += *cursor_.at == ' ';
    }
    cursor_.space();
    return true;
  }
#endif

  // The one that ends there.
  DRIFTD_APART bool other_number(const char* begin, const char* end) {
    cursor_.at = past_space(begin);
    if (!next()) return false;
    cursor_.space();
    return cursor_.at == end;
  }

  // Past one of any kind, if there is room for it.
  bool next() {
#ifdef DRIFTD_WIDE
    if (cursor_.has_window(cursor_.at)) {
      double value;
      const char* const behind = in_window(cursor_.at, value);
      if (behind != nullptr) {
        cursor_.at = behind;
        return numbers_.add(value + 0.0, false);  // of -0 it makes 0: an integer has no such sign
      }
    }
#endif
    if (*cursor_.at == 'n') return cursor_.literal("null") && numbers_.add(std::numeric_limits<double>::quiet_NaN(), true);
    Number found;
    if (!cursor_.number(found)) return false;
    const double value = found.value + 0.0;
    if (found.whole && !(value <= LARGEST && value >= -LARGEST)) return false;  // a longer one is not what it reads as
    return numbers_.add(value, false);
  }

  Cursor& cursor_;
  Numbers& numbers_;
#ifdef DRIFTD_FOURS
  const bool by_fours_ = has_fours();
#endif
};

}  // namespace driftd
