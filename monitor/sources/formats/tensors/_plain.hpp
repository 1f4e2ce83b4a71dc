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

// How many bits are set: in words, for the oldest machines have no instruction for it.
inline int ones(uint32_t bits) {
  bits -= (bits >> 1) & 0x55555555u;
  bits = (bits & 0x33333333u) + ((bits >> 2) & 0x33333333u);
  return static_cast<int>((((bits + (bits >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24);
}

// The places of the commas before the first closing bracket among `size` bytes, which are whole windows; how many there are.
// There is room for a window more than there can be: places are written four at a time (Langdale and Lemire 2019, section 3.2).
inline size_t commas_of(const char* begin, size_t size, uint16_t* places) {
  size_t count = 0;
  for (size_t window = 0; window < size; window += WINDOW) {
    const uint32_t closing = equal_in(begin + window, ']');
    uint32_t commas = equal_in(begin + window, ',');
    if (closing != 0) commas &= (closing & (~closing + 1)) - 1;
    const int found = ones(commas);
    uint16_t* out = places + count;
    for (int left = found; left > 0; left -= 4) {
      for (int at = 0; at < 4; ++at) {
        *out++ = static_cast<uint16_t>(window + static_cast<size_t>(lowest(commas | 1u << (WINDOW - 1))));
        commas &= commas - 1;
      }
    }
    count += static_cast<size_t>(found);
    if (closing != 0) break;
  }
  return count;
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
  if (negative) value = -value;
  return true;
}

#endif

}  // namespace driftd
