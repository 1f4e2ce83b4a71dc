// A cursor over one JSON message, and what its values are worth. Knows nothing of Python.
//
// Strict RFC 8259, with three additions that Python's json module makes: NaN, Infinity and -Infinity. Every reader
// answers false where it does not know, and the caller then leaves the message alone.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace driftd {

constexpr int MAX_DEPTH = 32;
constexpr ptrdiff_t MOST_DIGITS = 19;  // of an integer that surely fits 64 bits
constexpr size_t LONGEST_WHOLE = 300;  // characters of a whole number that is surely below 1.8e308
constexpr int LONGEST_NUMBER = 32;  // characters of a number written as a category

// --- the cursor ----------------------------------------------------------------------------------------------------

struct Number {
  std::string_view text;
  double value = 0;
  bool whole = false;  // written without fraction and exponent
  bool exact = false;  // whole, and in `integer` as it stands
  int64_t integer = 0;
};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Cursor {
 public:
  Cursor(const char* begin, const char* end) : at(begin), end_(end) {}

  const char* at;

  void space() {
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') ++at;
  }

  // Past one character, and the space after it.
  void step() {
    ++at;
    space();
  }

  bool pass() {
    ++at;
    return true;
  }

  // Whether nothing but space is left.
  bool ends() {
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

  // Whether this very text stands here in quotes; only then the cursor moves.
  bool quoted(std::string_view text) {
    if (left() < text.size() + 2 || std::memcmp(at + 1, text.data(), text.size()) != 0 || at[text.size() + 1] != '"')
      return false;
    at += text.size() + 2;
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
  size_t left() const { return static_cast<size_t>(end_ - at); }

  // Past ASCII that is neither control, quote nor backslash, eight bytes at a time. A byte of `marks` has its top bit
  // set where something else stands; a borrow may mark bytes above it wrongly, but never the lowest.
  void ascii_run() {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    constexpr uint64_t ONES = 0x0101010101010101u, TOPS = 0x8080808080808080u;
    for (; left() >= 8; at += 8) {
      uint64_t word = 0;
      std::memcpy(&word, at, 8);
      const uint64_t quote = word ^ (ONES * '"'), backslash = word ^ (ONES * '\\');
      const uint64_t marks = ((word - ONES * 0x20) | (quote - ONES) | (backslash - ONES) | word) & TOPS;
      if (marks != 0) {
        at += __builtin_ctzll(marks) / 8;
        return;
      }
    }
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

  bool continues(int offset, unsigned char low = 0x80, unsigned char high = 0xBF) const {
    const auto c = static_cast<unsigned char>(at[offset]);
    return c >= low && c <= high;
  }

  // Past one character of two to four bytes (Unicode 15, table 3-7); the NUL at the end continues nothing.
  bool utf8() {
    const auto c = static_cast<unsigned char>(*at);
    int size = 0;
    if (c >= 0xC2 && c <= 0xDF && continues(1)) size = 2;
    else if (c >= 0xE0 && c <= 0xEF && continues(1, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF) && continues(2)) size = 3;
    else if (c >= 0xF0 && c <= 0xF4 && continues(1, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF) && continues(2) &&
             continues(3)) size = 4;
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
    if (code >= 0xD800 && code <= 0xDFFF) {
      if (code > 0xDBFF || at[0] != '\\' || at[1] != 'u') return false;
      at += 2;
      if (!hex(low) || low < 0xDC00 || low > 0xDFFF) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append(text, code);
    return true;
  }

  static void append(std::string& text, uint32_t code) {
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
  }

  bool skip_members(char closing, int depth);

  const char* end_;
};

// --- numbers -------------------------------------------------------------------------------------------------------

// Digits to the end of their run, onto an integer that may overflow: whoever takes more than 19 must not use it.
inline const char* digits(const char* at, uint64_t& integer) {
  for (; is_digit(*at); ++at) integer = integer * 10 + static_cast<uint64_t>(*at - '0');
  return at;
}

// Correctly rounded where both parts are exact in a double: one division or multiplication (Clinger 1990, section 3).
inline bool exactly(uint64_t mantissa, int64_t exponent, double& value) {
  static constexpr double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (mantissa > (uint64_t{1} << 53) || exponent < -22 || exponent > 22) return false;
  value = static_cast<double>(mantissa);
  value = exponent < 0 ? value / POWERS[-exponent] : value * POWERS[exponent];
  return true;
}

// Correctly rounded by the standard library, where it has this; false out of range.
inline bool by_library([[maybe_unused]] const char* begin, [[maybe_unused]] const char* end,
                       [[maybe_unused]] double& value) {
#ifdef __cpp_lib_to_chars
  const auto [stopped, error] = std::from_chars(begin, end, value);
  return error == std::errc() && stopped == end;
#else
  return false;
#endif
}

inline bool Cursor::number(Number& found) {
  const char* begin = at;
  const bool negative = *at == '-';
  if (negative) ++at;
  if (!is_digit(*at) || (*at == '0' && is_digit(at[1]))) return false;
  uint64_t mantissa = 0;
  int64_t exponent = 0;
  const char* first = at;
  at = digits(at, mantissa);
  ptrdiff_t count = at - first;
  found.whole = *at != '.' && *at != 'e' && *at != 'E';
  if (*at == '.') {
    const char* fraction = ++at;
    at = digits(at, mantissa);
    if (at == fraction) return false;
    exponent = fraction - at;
    count += at - fraction;
  }
  if (*at == 'e' || *at == 'E') {
    const char* sign = ++at;
    if (*at == '+' || *at == '-') ++at;
    if (!is_digit(*at)) return false;
    int64_t written = 0;
    for (; is_digit(*at); ++at) written = std::min<int64_t>(written * 10 + (*at - '0'), 1'000'000);
    exponent += *sign == '-' ? -written : written;
  }
  found.text = {begin, static_cast<size_t>(at - begin)};
  found.exact = found.whole && count <= MOST_DIGITS && mantissa <= static_cast<uint64_t>(INT64_MAX);
  if (found.exact) found.integer = negative ? -static_cast<int64_t>(mantissa) : static_cast<int64_t>(mantissa);
  if (count > MOST_DIGITS || !exactly(mantissa, exponent, found.value)) return by_library(begin, at, found.value);
  if (negative) found.value = -found.value;
  return true;
}

// Past any value, container within `depth` containers.
inline bool Cursor::skip(int depth) {
  Number number_found;
  std::string_view text;
  std::string scratch;
  switch (*at) {
    case '"': return string(text, scratch);
    case '{': return depth < MAX_DEPTH && skip_members('}', depth + 1);
    case '[': return depth < MAX_DEPTH && skip_members(']', depth + 1);
    case 't': return literal("true");
    case 'f': return literal("false");
    case 'n': return literal("null");
    case 'N': return literal("NaN");
    case 'I': return literal("Infinity");
    case '-':
      if (at[1] == 'I') return literal("-Infinity");
      return number(number_found);
    default: return number(number_found);
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

// The one text under which a number is counted as a category: Python's str(int) or repr(float).
inline bool canonical(const Number& number, char* digits, std::string_view& text) {
  if (number.whole) {
    text = number.text == "-0" ? "0" : number.text;
    return number.text.size() <= LONGEST_WHOLE;
  }
#ifdef __cpp_lib_to_chars
  const double size = std::fabs(number.value);
  std::to_chars_result written{};
  if (size >= 9.2e18) return false;
  if (number.value == std::floor(number.value)) {
    written = std::to_chars(digits, digits + LONGEST_NUMBER, static_cast<int64_t>(number.value));
  } else {
    const auto format = size < 1e-4 ? std::chars_format::scientific : std::chars_format::fixed;
    written = std::to_chars(digits, digits + LONGEST_NUMBER, number.value, format);
  }
  text = {digits, static_cast<size_t>(written.ptr - digits)};
  return written.ec == std::errc();
#else
  (void)digits;
  return false;
#endif
}

}  // namespace driftd
