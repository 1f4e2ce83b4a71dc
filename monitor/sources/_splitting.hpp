// Blocks of a file and messages of many events to the events that they hold, where they lie. Nothing here knows of Python.
#pragma once

#include "_messages.hpp"
#include "formats/json/_wide.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

namespace driftd {

inline bool is_space(char letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r'); }  // as Python's strip has it

inline bool is_blank(const Value& line) {
  return std::all_of(line.data, line.data + line.size, is_space);
}

// What Python finds out by `b"" in lines or b"\r" in lines`.
inline bool is_empty(const Value& line) { return line.size == 0 || (line.size == 1 && line.data[0] == '\r'); }

// The lines that end in [begin, end). Each end becomes the NUL that a scan stops at. Where one is empty, blank ones are left out.
// Returns where the line begins that does not end here.
inline char* split_lines(char* begin, char* end, std::vector<Value>& lines) {
  bool empty = false;
  while (begin != end) {
    char* const last = static_cast<char*>(std::memchr(begin, '\n', static_cast<size_t>(end - begin)));
    if (last == nullptr) break;
    *last = '\0';
    lines.push_back({begin, static_cast<size_t>(last - begin), true});
    empty = empty || is_empty(lines.back());
    begin = last + 1;
  }
  if (empty) lines.erase(std::remove_if(lines.begin(), lines.end(), is_blank), lines.end());
  return begin;
}

// The lines of a message that hold anything, where they lie: ended, if that is. What `json_lines.py` finds; false, and nothing is
// added, where that refuses the message.
inline bool cut_lines(const Value& message, size_t most, std::vector<Value>& lines) {
  const char *begin = message.data, *const end = begin + message.size;
  if (message.size >= 3 && std::memcmp(begin, "\xEF\xBB\xBF", 3) == 0) begin += 3;
  const size_t before = lines.size();
  bool empty = false;
  for (;;) {
    const auto* const found = static_cast<const char*>(std::memchr(begin, '\n', static_cast<size_t>(end - begin)));
    const char* const last = found == nullptr ? end : found;
    lines.push_back({begin, static_cast<size_t>(last - begin), message.ended});
    empty = empty || is_empty(lines.back());
    if (found == nullptr) break;
    begin = found + 1;
    if (lines.size() - before > most) {
      lines.resize(before);
      return false;
    }
  }
  if (empty) lines.erase(std::remove_if(lines.begin() + static_cast<ptrdiff_t>(before), lines.end(), is_blank), lines.end());
  return lines.size() > before;
}

// --- arrays of JSON -----------------------------------------------------------------------------------------------------

inline bool is_json_space(char letter) { return letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t'; }

// Whether bytes are UTF-8 (Unicode 15, table 3-7).
inline bool is_utf8(const char* at, const char* end) {
  const auto within = [&](ptrdiff_t place, int low, int high) {
    return end - at > place && static_cast<unsigned char>(at[place]) >= low && static_cast<unsigned char>(at[place]) <= high;
  };
  while (at != end) {
    const auto c = static_cast<unsigned char>(*at);
    int size = 0;
    if (c < 0x80) size = 1;
    else if (c >= 0xC2 && c <= 0xDF && within(1, 0x80, 0xBF)) size = 2;
    else if (c >= 0xE0 && c <= 0xEF && within(1, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF) && within(2, 0x80, 0xBF)) size = 3;
    else if (c >= 0xF0 && c <= 0xF4 && within(1, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF) && within(2, 0x80, 0xBF) &&
             within(3, 0x80, 0xBF)) size = 4;
    if (size == 0) return false;
    at += size;
  }
  return true;
}

// Goes through JSON from bracket to bracket outside of texts, with COMMAS from these to these as well: `mark` of the class that does it is
// told where each is, and says whether to go on.
template <typename Self, bool COMMAS>
class Marks {
 protected:
  // False: `mark` said so. `ascii` becomes false where anything is not.
  bool walk(const char* from, const char* end, bool& ascii) {
    string_ = escaped_ = false;
#ifdef DRIFTD_WIDE
    for (; end - from >= 2 * WINDOW; from += 2 * WINDOW)
      if (!windows(from, ascii)) return false;
#endif
    return letters(from, end, ascii);
  }

 private:
  bool tell(const char* at) { return static_cast<Self*>(this)->mark(at); }

#ifdef DRIFTD_WIDE
  // All of two windows. Such with a backslash are looked at letter by letter.
  bool windows(const char* from, bool& ascii) {
    const Brackets low = brackets_in(from), high = brackets_in(from + WINDOW);
    if ((low.odd | high.odd) != 0 || escaped_) return letters(from, from + 2 * WINDOW, ascii);
    uint64_t inside = low.quotes | uint64_t{high.quotes} << WINDOW;
    uint64_t marks = low.brackets | uint64_t{high.brackets} << WINDOW;
    if (COMMAS) marks |= low.commas | uint64_t{high.commas} << WINDOW;
    if (marks == 0) {
      string_ = string_ != (__builtin_parityll(inside) != 0);
      return true;
    }
    for (int shift = 1; shift < 2 * WINDOW; shift *= 2) inside ^= inside << shift;
    if (string_) inside = ~inside;
    string_ = inside >> (2 * WINDOW - 1) != 0;
    for (uint64_t left = marks & ~inside; left != 0; left &= left - 1)
      if (!tell(from + __builtin_ctzll(left))) return false;
    return true;
  }
#endif

  bool letters(const char* at, const char* end, bool& ascii) {
    for (; at != end; ++at) {
      ascii = ascii && static_cast<unsigned char>(*at) < 0x80;
      if (!letter(at)) return false;
    }
    return true;
  }

  bool letter(const char* at) {
    if (string_) {
      if (escaped_) escaped_ = false;
      else if (*at == '\\') escaped_ = true;
      else if (*at == '"') string_ = false;
      return true;
    }
    if (*at == '"') string_ = true;
    const bool is_mark = *at == '{' || *at == '[' || *at == '}' || *at == ']' || (COMMAS && *at == ',');
    return !is_mark || tell(at);
  }

  bool string_ = false, escaped_ = false;
};

// Cuts an array of objects of JSON at their brackets; what stands inside is for who reads an element. `batches.py` finds the same.
class ArrayCutter : Marks<ArrayCutter, false> {
  friend Marks;

 public:
  // `key`, if any: with its quotes, the one that each object must have, with an object as its value.
  explicit ArrayCutter(std::string_view key) : key_(key) {}

  // The elements of a message, ended if that is; false: it is no such array, and nothing is added.
  bool cut(const Value& message, std::vector<Value>& elements) {
    begin_ = message.data;
    end_ = begin_ + message.size;
    ended_ = message.ended;
    elements_ = &elements;
    before_ = elements.size();
    depth_ = 0;
    done_ = nullptr;
    bool ascii = true;
    const char* at = begin_;
    while (at != end_ && is_json_space(*at)) ++at;
    if (at == end_ || *at != '[') return false;
    const char* last = end_ - 1;
    while (is_json_space(*last)) --last;
    if (*last != ']') return false;  // cut off
    if (!walk(at, end_, ascii)) return undone();
    const bool whole = done_ != nullptr && elements.size() > before_ && (ascii || is_utf8(begin_, end_));
    for (at = done_; whole && at != end_; ++at)
      if (!is_json_space(*at)) return undone();
    return whole || undone();
  }

 private:
  bool undone() {
    elements_->resize(before_);
    return false;
  }

  // A bracket outside of texts; false: this is no array of such objects.
  bool mark(const char* at) {
    if (done_ != nullptr) return false;
    if (*at == '{' || *at == '[') {
      ++depth_;
      if (depth_ == 2) return *at == '{' && opened(at);
      if (depth_ == 3 && *at == '{' && !keyed_) keyed_ = has_key_before(at);
      return true;
    }
    --depth_;
    if (depth_ == 1) {
      if (!keyed_) return false;
      elements_->push_back({element_, static_cast<size_t>(at + 1 - element_), ended_});
      after_ = at + 1;
    } else if (depth_ == 0) {
      done_ = at + 1;
      return *at == ']' && elements_->size() > before_ && only_space(after_, at);
    }
    return true;
  }

  // An element begins: behind the bracket of the array, or behind a comma.
  bool opened(const char* at) {
    element_ = at;
    keyed_ = key_.empty();
    if (elements_->size() > before_) {
      while (after_ != at && is_json_space(*after_)) ++after_;
      return after_ != at && *after_ == ',' && only_space(after_ + 1, at);
    }
    const char* first = begin_;
    while (*first != '[') ++first;
    return only_space(first + 1, at);
  }

  static bool only_space(const char* from, const char* to) {
    return std::all_of(from, to, is_json_space);
  }

  // Whether the key stands before an object, as one of the element: behind a bracket, a comma or space.
  bool has_key_before(const char* at) const {
    const auto back = [&] {
      while (at != element_ && is_json_space(at[-1])) --at;
    };
    back();
    if (at[-1] != ':') return false;
    --at;
    back();
    if (at - element_ <= static_cast<ptrdiff_t>(key_.size())) return false;
    at -= key_.size();
    return std::memcmp(at, key_.data(), key_.size()) == 0 && (at[-1] == '{' || at[-1] == ',' || is_json_space(at[-1]));
  }

  std::string_view key_;
  const char *begin_ = nullptr, *end_ = nullptr, *element_ = nullptr, *after_ = nullptr, *done_ = nullptr;
  std::vector<Value>* elements_ = nullptr;
  size_t before_ = 0;
  ptrdiff_t depth_ = 0;
  bool keyed_ = false, ended_ = false;
};

}  // namespace driftd
