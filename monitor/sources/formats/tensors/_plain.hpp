// Numbers of which it is known where they end (HOT): none has to wait for the one before it.
#pragma once

#include "../json/_numbers.hpp"
#include "../json/_wide.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace driftd {

#ifdef DRIFTD_WIDE

#if defined(__SSE2__)
inline uint32_t equal_in(const char* at, char wanted) {
  const __m128i each = _mm_set1_epi8(wanted);
  return bits_of(_mm_cmpeq_epi8(half_window(at), each), _mm_cmpeq_epi8(half_window(at + 16), each));
}
#else
inline uint32_t equal_in(const char* at, char wanted) {
  const uint8x16_t each = vdupq_n_u8(static_cast<uint8_t>(wanted));
  return bits_of(vceqq_u8(half_window(at), each), vceqq_u8(half_window(at + 16), each));
}
#endif

constexpr size_t BLOCK = 2 * WINDOW;  // bytes, a bit of a word each

inline uint64_t in_block(const char* at, char wanted) {
  return equal_in(at, wanted) | uint64_t{equal_in(at + WINDOW, wanted)} << WINDOW;
}

// The number that is all there is from `begin` to `end`: up to 8 digits in front of a point and 19 in all. False where it is anything else.
// A window may be read from its begin.
inline bool plain_number(const char* begin, const char* end, double& value) {
  const uint32_t negative = *begin == '-';
  const ptrdiff_t size = end - begin;
  if (size >= WINDOW) return false;
  const uint32_t others = ~digits_in(begin) & ~negative & ((1u << size) - 1);  // bytes that are no digits, but the sign
  begin += negative;
  const int digits = static_cast<int>(size) - static_cast<int>(negative);
  uint64_t mantissa;
  int count = 0;
  if (others == 0) {
    if (digits < 1 || digits > 8 || (digits > 1 && *begin == '0')) return false;
    mantissa = worth_of(begin, digits);
  } else {
    const int whole = lowest(others) - static_cast<int>(negative);
    count = digits - whole - 1;
    if ((others & (others - 1)) != 0 || begin[whole] != '.' || whole < 1 || whole > 8 || count < 1) return false;
    if (whole > 1 && *begin == '0') return false;
    if (digits <= 9) {
      mantissa = worth_without(begin, whole, digits - 1);
    } else {
      if (digits - 1 > MOST_DIGITS + (*begin == '0')) return false;
      mantissa = worth_of(begin, whole);
      const char* fraction = begin + whole + 1;
      int left = count;
      for (; left > 8; left -= 8, fraction += 8) mantissa = mantissa * WHOLE_POWERS[8] + worth_of(fraction, 8);
      mantissa = mantissa * WHOLE_POWERS[left] + worth_of(fraction, left);
    }
  }
  if (mantissa > EXACT_WHOLE) {
    if (!by_division(mantissa, -count, value)) return false;
  } else {
    value = static_cast<double>(static_cast<int64_t>(mantissa)) / POWERS[count];
  }
  uint64_t bits;  // no branch: signs are random
  std::memcpy(&bits, &value, sizeof bits);
  bits |= static_cast<uint64_t>(negative) << 63;
  std::memcpy(&value, &bits, sizeof bits);
  value += 0.0;  // of -0 it makes 0: an integer has no such sign
  return true;
}

#endif

}  // namespace driftd
