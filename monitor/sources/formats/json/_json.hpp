// A cursor over one JSON message, and what its values are worth. Knows nothing of Python.
//
// What follows a message may be read as far as a NUL, which stops every loop; what has gone beyond the end never comes to it again.
// Strict RFC 8259, with three additions that Python's json module makes: NaN, Infinity and -Infinity. Every reader
// answers false where it does not know, and the caller then leaves the message alone.
#pragma once

#include "_numbers.hpp"
#include "_wide.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace driftd {

constexpr int MAX_DEPTH = 32;
constexpr int LARGEST_EXPONENT = 309;  // a number of more digits before its point is larger than all doubles
constexpr int64_t FARTHEST = 1'000'000'000;  // what exponents are cut at: no message has digits enough to make up for it

// Past space, of which as a rule there is none, or one.
inline const char* past_space(const char* at) {
  while (static_cast<unsigned char>(*at) <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  return at;
}

// Whether a byte continues a character.
inline bool continues(char byte, unsigned char low = 0x80, unsigned char high = 0xBF) {
  const auto c = static_cast<unsigned char>(byte);
  return c >= low && c <= high;
}

// The size of the character of two to four bytes here (Unicode 15, table 3-7), 0: it is none; a NUL continues nothing.
inline int utf8_size(const char* at) {
  const auto c = static_cast<unsigned char>(*at);
  if (c >= 0xC2 && c <= 0xDF && continues(at[1])) return 2;
  if (c >= 0xE0 && c <= 0xEF && continues(at[1], c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF) && continues(at[2])) return 3;
  if (c >= 0xF0 && c <= 0xF4 && continues(at[1], c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF) && continues(at[2]) &&
      continues(at[3])) return 4;
  return 0;
}

// --- the cursor ----------------------------------------------------------------------------------------------------

class Cursor {
 public:
  // `lenient`: half a UTF-16 pair, and numbers beyond all doubles, are let through as well.
  Cursor(const char* begin, const char* end, bool lenient = false) : at(begin), begin_(begin), end_(end), lenient_(lenient) {}

  const char* at;

  const char* begin() const { return begin_; }

  // Whether a window may be read from here.
  bool has_window(const char* from) const { return end_ - from >= WINDOW; }

  ptrdiff_t left_of(const char* from) const { return end_ - from; }  // below 0 behind the end

  size_t left(const char* from) const { return from < end_ ? static_cast<size_t>(end_ - from) : 0; }

  void space() { at = past_space(at); }

  // Past one character, and the space after it.
  void step() {
    ++at;
    space();
  }

  bool pass() {
    ++at;
    return true;
  }

  // Whether nothing but space is left. What follows may be space, too.
  bool ends() {
    if (at == end_) return true;
    space();
    return at == end_;
  }

  bool colon() {
    space();
    if (*at != ':') return false;
    step();
    return true;
  }

  bool literal(std::string_view text) {
    if (left() < text.size() || std::memcmp(at, text.data(), text.size()) != 0) return false;
    at += text.size();
    return true;
  }

  // The string at the cursor: a view of the message, or of `scratch` where escapes had to be resolved.
  bool string(std::string_view& text, std::string& scratch) {
    const char* begin = ++at;
    if (!plain_run()) return false;
    if (*at == '"') {
      text = {begin, static_cast<size_t>(at - begin)};
      return pass();
    }
    scratch.assign(begin, at);
    while (*at == '\\') {
      if (!escape(scratch)) return false;
      begin = at;
      if (!plain_run()) return false;
      scratch.append(begin, at);
    }
    text = scratch;
    return *at == '"' && pass();
  }

  bool number(Number& found);
  bool skip(int depth);

 private:
  size_t left() const { return left(at); }

  // Past ASCII that is neither control, quote nor backslash, a window at a time; the last one may begin before the cursor.
  void ascii_run() {
#ifdef DRIFTD_WIDE
    uint32_t marks = 0;
    for (; has_window(at); at += WINDOW)
      if ((marks = marks_in(at)) != 0) return void(at += lowest(marks));
    if (end_ - begin_ < WINDOW) return;
    marks = static_cast<uint32_t>(uint64_t{marks_in(end_ - WINDOW)} >> (WINDOW - left()));
    at += marks != 0 ? static_cast<size_t>(lowest(marks)) : left();
#endif
  }

  // To the next quote or backslash; false for control characters, malformed UTF-8 and the end.
  bool plain_run() {
    for (;;) {
      ascii_run();
      const auto c = static_cast<unsigned char>(*at);
      if (c == '"' || c == '\\') return true;
      if (c < 0x20) return false;
      if (c < 0x80) ++at;
      else if (!utf8()) return false;
    }
  }

  bool utf8() {
    const int size = utf8_size(at);
    at += size;
    return size != 0;
  }

  bool hex(uint32_t& found) {
    if (left() < 4) return false;
    const auto [stopped, error] = std::from_chars(at, at + 4, found, 16);
    if (error != std::errc() || stopped != at + 4) return false;
    at = stopped;
    return true;
  }

  bool escape(std::string& text) {
    static constexpr std::string_view LETTERS = "\"\\/bfnrt", MEANT = "\"\\/\b\f\n\r\t";
    ++at;
    if (*at == 'u') return ++at, unicode(text);
    const size_t place = *at ? LETTERS.find(*at) : std::string_view::npos;
    if (place == std::string_view::npos) return false;
    text.push_back(MEANT[place]);
    return pass();
  }

  bool unicode(std::string& text) {
    uint32_t code = 0, low = 0;
    if (!hex(code)) return false;
    if (code < 0xD800 || code > 0xDFFF) return append(text, code);
    const char* behind = at;
    if (code > 0xDBFF || at[0] != '\\' || at[1] != 'u') return lenient_ && append(text, code);
    at += 2;
    if (!hex(low)) return false;
    if (low >= 0xDC00 && low <= 0xDFFF) return append(text, 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00));
    at = behind;
    return lenient_ && append(text, code);
  }

  // Half a pair becomes what is no UTF-8: no text that is any is the same.
  static bool append(std::string& text, uint32_t code) {
    const auto tail = [&](int shift) { text.push_back(static_cast<char>(0x80 | ((code >> shift) & 0x3F))); };
    if (code < 0x80) {
      text.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
      text.push_back(static_cast<char>(0xC0 | (code >> 6)));
      tail(0);
    } else if (code < 0x10000) {
      text.push_back(static_cast<char>(0xE0 | (code >> 12)));
      tail(6), tail(0);
    } else {
      text.push_back(static_cast<char>(0xF0 | (code >> 18)));
      tail(12), tail(6), tail(0);
    }
    return true;
  }

  bool skip_string() {
    std::string_view text;
    std::string scratch;
    return string(text, scratch);
  }

  DRIFTD_APART bool skip_number() {
#ifdef DRIFTD_WIDE
    double value;
    const char* end = has_window(at) ? in_window(at, value) : nullptr;
    if (end != nullptr) return at = end, true;
#endif
    if (lenient_) return skip_digits();
    Number found;
    return number(found);
  }

  // Past a number, whatever it is worth.
  bool skip_digits() {
    const auto run = [this] {
      const char* first = at;
      while (is_digit(*at)) ++at;
      return at != first;
    };
    if (*at == '-') ++at;
    if ((*at == '0' && is_digit(at[1])) || !run()) return false;
    if (*at == '.' && (++at, !run())) return false;
    if (*at != 'e' && *at != 'E') return true;
    ++at;
    if (*at == '+' || *at == '-') ++at;
    return run();
  }

  // Digits to the end of their run, onto an integer that may overflow: whoever takes more than 19 must not use it.
  void digit_run(uint64_t& integer) {
#ifdef DRIFTD_WIDE
    if (has_window(at)) {
      int left = lowest(~digits_in(at) | 1u << (WINDOW - 1));
      if (left <= MOST_DIGITS) {
        for (; left > 8; left -= 8, at += 8) integer = integer * WHOLE_POWERS[8] + worth_of(at, 8);
        if (left > 0) integer = integer * WHOLE_POWERS[left] + worth_of(at, left);
        at += left;
        return;
      }
    }
#endif
    for (; is_digit(*at); ++at) integer = integer * 10 + static_cast<uint64_t>(*at - '0');
  }

  bool skip_members(char closing, int depth);

  const char* begin_;
  const char* end_;
  bool lenient_;
};

DRIFTD_APART inline bool Cursor::number(Number& found) {
  const char* begin = at;
  const bool negative = *at == '-';
  if (negative) ++at;
  if (!is_digit(*at) || (*at == '0' && is_digit(at[1]))) return false;
  uint64_t mantissa = 0;
  int64_t exponent = 0;
  const char* first = at;
  digit_run(mantissa);
  ptrdiff_t count = at - first;
  found.whole = *at != '.' && *at != 'e' && *at != 'E';
  if (*at == '.') {
    const char* fraction = ++at;
    digit_run(mantissa);
    if (at == fraction) return false;
    exponent = fraction - at;
    count += at - fraction;
  }
  if (*at == 'e' || *at == 'E') {
    const char* sign = ++at;
    if (*at == '+' || *at == '-') ++at;
    if (!is_digit(*at)) return false;
    int64_t written = 0;
    for (; is_digit(*at); ++at) written = std::min<int64_t>(written * 10 + (*at - '0'), FARTHEST);
    exponent += *sign == '-' ? -written : written;
  }
  found.text = {begin, static_cast<size_t>(at - begin)};
  found.exact = found.whole && count <= MOST_DIGITS && mantissa <= static_cast<uint64_t>(INT64_MAX);
  if (found.exact) found.integer = negative ? -static_cast<int64_t>(mantissa) : static_cast<int64_t>(mantissa);
  if (count > MOST_DIGITS || !(exactly(mantissa, exponent, found.value) || by_division(mantissa, exponent, found.value))) {
    if (by_library(begin, at, found.value)) return true;
    found.beyond = *first != '0' && count + exponent > LARGEST_EXPONENT;
    return false;
  }
  if (negative) found.value = -found.value;
  return true;
}

// Past any value, container within `depth` containers.
inline bool Cursor::skip(int depth) {
  switch (*at) {
    case '"': return skip_string();
    case '{': return depth < MAX_DEPTH && skip_members('}', depth + 1);
    case '[': return depth < MAX_DEPTH && skip_members(']', depth + 1);
    case 't': return literal("true");
    case 'f': return literal("false");
    case 'n': return literal("null");
    case 'N': return literal("NaN");
    case 'I': return literal("Infinity");
    case '-':
      if (at[1] == 'I') return literal("-Infinity");
      return skip_number();
    default: return skip_number();
  }
}

inline bool Cursor::skip_members(char closing, int depth) {
  std::string scratch;
  step();
  if (*at == closing) return pass();
  for (;;) {
    std::string_view key;
    if (closing == '}' && (*at != '"' || !string(key, scratch) || !colon())) return false;
    if (!skip(depth)) return false;
    space();
    if (*at == closing) return pass();
    if (*at != ',') return false;
    step();
  }
}

}  // namespace driftd
