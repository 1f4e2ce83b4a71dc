// Texts of numbers to doubles, correctly rounded, and back to the one text under which a number is counted as a category.
#pragma once

#include "_wide.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace driftd {

constexpr ptrdiff_t MOST_DIGITS = 19;  // of an integer that surely fits 64 bits
constexpr size_t LONGEST_WHOLE = 300;  // characters of a whole number that is surely below 1.8e308
constexpr int LONGEST_NUMBER = 32;  // characters of a number written as a category

struct Number {
  std::string_view text;
  double value = 0;
  bool whole = false;  // written without fraction and exponent
  bool exact = false;  // whole, and in `integer` as it stands
  bool beyond = false;  // not read, as it is larger than all doubles
  int64_t integer = 0;
};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr uint64_t WHOLE_POWERS[] = {1u,
                                     10u,
                                     100u,
                                     1000u,
                                     10000u,
                                     100000u,
                                     1000000u,
                                     10000000u,
                                     100000000u,
                                     1000000000u,
                                     10000000000u,
                                     100000000000u,
                                     1000000000000u,
                                     10000000000000u,
                                     100000000000000u,
                                     1000000000000000u,
                                     10000000000000000u,
                                     100000000000000000u,
                                     1000000000000000000u,
                                     10000000000000000000u};

// --- digits --------------------------------------------------------------------------------------------------------

// The worth of eight digits, the first of them in the lowest byte, each as its number: pairs, fours, all (Lemire 2018).
inline uint64_t worth_of(uint64_t word) {
  word = word * 10 + (word >> 8);
  constexpr uint64_t PAIRS = 0x000000FF000000FFu;
  return ((word & PAIRS) * (100 + (1000000ull << 32)) + ((word >> 16) & PAIRS) * (1 + (10000ull << 32))) >> 32;
}

constexpr uint64_t LOW_HALVES = 0x0F0F0F0F0F0F0F0Fu;  // of each byte: the worth of a digit

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
// The worth of 1 … 8 digits, of which eight bytes may be read: bytes behind them are shifted out.
inline uint64_t worth_of(const char* at, int count) {
  return worth_of((word_at(at) & LOW_HALVES) << (-8 * count & 63));
}

// The same of 2 … 8 digits with a point behind the first `whole` of them, as if there was none. Nine bytes may be read.
inline uint64_t worth_without(const char* at, int whole, int count) {
  const uint64_t behind = ~uint64_t{0} << (8 * whole);
  return worth_of((((word_at(at) & ~behind) | (word_at(at + 1) & behind)) & LOW_HALVES) << (-8 * count & 63));
}
#else
inline uint64_t worth_of(const char* at, int count) {
  uint64_t worth = 0;
  for (; count > 0; --count) worth = worth * 10 + static_cast<uint64_t>(*at++ - '0');
  return worth;
}

inline uint64_t worth_without(const char* at, int whole, int count) {
  return worth_of(at, whole) * WHOLE_POWERS[count - whole] + worth_of(at + whole + 1, count - whole);
}
#endif

// --- rounding ------------------------------------------------------------------------------------------------------

constexpr uint64_t EXACT_WHOLE = uint64_t{1} << 53;  // up to it every whole number is a double

// Correctly rounded where both parts are exact in a double: one division or multiplication (Clinger 1990, section 3).
inline bool exactly(uint64_t mantissa, int64_t exponent, double& value) {
  if (mantissa > EXACT_WHOLE || exponent < -22 || exponent > 22) return false;
  value = static_cast<double>(static_cast<int64_t>(mantissa));
  value = exponent < 0 ? value / POWERS[-exponent] : value * POWERS[exponent];
  return true;
}

// Correctly rounded where a mantissa of more than 53 bits is divided by a power of ten that fits 64: 16 or 17 digits, as
// Python and Java write doubles. With both shifted to their highest bit, the whole part q of mantissa · 2^63 / power has 63 or
// 64 bits; its lowest is set where there is a remainder, so that it rounds to 53 as the quotient itself would, ties included.
inline bool by_division([[maybe_unused]] uint64_t mantissa, [[maybe_unused]] int64_t exponent, [[maybe_unused]] double& value) {
#ifdef __SIZEOF_INT128__
  if (mantissa <= EXACT_WHOLE || exponent > 0 || exponent < -19) return false;
  const uint64_t power = WHOLE_POWERS[-exponent];
  const int up = __builtin_clzll(mantissa), down = __builtin_clzll(power);
  __extension__ using Wide = unsigned __int128;
  const Wide dividend = static_cast<Wide>(mantissa << up) << 63;
  const uint64_t divisor = power << down;
#if defined(__x86_64__) && defined(__GNUC__)  // one instruction: the quotient fits 64 bits, which cannot be said in C++
  uint64_t quotient, rest;
  __asm__("divq %4"
          : "=a"(quotient), "=d"(rest)
          : "a"(static_cast<uint64_t>(dividend)), "d"(static_cast<uint64_t>(dividend >> 64)), "r"(divisor)
          : "cc");
#else
  const auto quotient = static_cast<uint64_t>(dividend / divisor);
  const uint64_t rest = static_cast<uint64_t>(dividend) - quotient * divisor;  // what is left fits 64 bits
#endif
  const uint64_t scale = static_cast<uint64_t>(1023 + down - up - 63) << 52;  // a power of two: nothing is rounded again
  double factor;
  std::memcpy(&factor, &scale, sizeof factor);
  value = static_cast<double>(quotient | (rest != 0)) * factor;
  return true;
#else
  return false;
#endif
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

// --- a number in one window ------------------------------------------------------------------------------------------

#ifdef DRIFTD_WIDE
// The value with a sign, set without a branch.
inline double with_sign(double value, uint32_t negative) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits |= static_cast<uint64_t>(negative) << 63;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

// The same as `in_window` where `whole` digits before a point and `count` behind it are more than 8.
DRIFTD_APART inline bool long_in_window(const char* begin, int whole, int count, double& value) {
  if (count > MOST_DIGITS || whole + count > MOST_DIGITS + (*begin == '0')) return false;
  uint64_t mantissa = worth_of(begin, whole);
  const char* fraction = begin + whole + 1;
  int left = count;
  for (; left > 8; left -= 8, fraction += 8) mantissa = mantissa * WHOLE_POWERS[8] + worth_of(fraction, 8);
  mantissa = mantissa * WHOLE_POWERS[left] + worth_of(fraction, left);
  if (mantissa > EXACT_WHOLE) return by_division(mantissa, -count, value);
  value = static_cast<double>(static_cast<int64_t>(mantissa)) / POWERS[count];
  return true;
}

// Powers of ten, then the same below 0: a division by one of these sets the sign, that of a 0 too.
constexpr double SIGNED_POWERS[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, -1e0, -1e1, -1e2, -1e3, -1e4, -1e5, -1e6, -1e7, -1e8};

// Behind a number of up to 8 digits, and more behind a point, 19 in all without a leading 0, whatever follows; none where it is anything else. A window
// may be read. The one thing that the next step waits for is where the number ends: one load, no branch that has to be guessed, for the
// sign and the number of digits change from value to value.
DRIFTD_INLINE const char* mantissa_in_window(const char* at, double& value) {
  const uint64_t negative = *at == '-';
  const uint64_t others = ~(digits_in(at) | negative);  // bytes that are no digits; what lies behind the window ends all
  const uint64_t first = lowest(others), whole = first - negative;
  const char* begin = at + negative;
  if (whole - 1 > 7 || (whole > 1 && *begin == '0')) return nullptr;  // in this order: the first digit is random
  if (at[first] != '.') {
    value = with_sign(static_cast<double>(static_cast<int64_t>(worth_of(begin, static_cast<int>(whole)))), static_cast<uint32_t>(negative));
    return at + first;
  }
  const uint64_t last = lowest(others & (others - 1)), count = last - first - 1;
  if (count - 1 < 8 - whole) {
    const uint64_t worth = worth_without(begin, static_cast<int>(whole), static_cast<int>(whole + count));
    value = static_cast<double>(static_cast<int64_t>(worth)) / SIGNED_POWERS[9 * negative + count];
    return at + last;
  }
  double size;
  if (count < 1 || !long_in_window(begin, static_cast<int>(whole), static_cast<int>(count), size)) return nullptr;
  value = with_sign(size, static_cast<uint32_t>(negative));
  return at + last;
}

// The same; none where an exponent follows.
DRIFTD_INLINE const char* in_window(const char* at, double& value) {
  const char* end = mantissa_in_window(at, value);
  return end == nullptr || (*end | ' ') == 'e' ? nullptr : end;
}
#endif

// --- back to text ----------------------------------------------------------------------------------------------------

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
