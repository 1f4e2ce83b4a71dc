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

inline int set_in(uint64_t bits) {  // as no instruction counts that every x86-64 has
  bits -= (bits >> 1) & 0x5555555555555555u;
  bits = (bits & 0x3333333333333333u) + ((bits >> 2) & 0x3333333333333333u);
  return static_cast<int>((((bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u) >> 56);
}

// Some blocks of an array of numbers: where each of them ends, at a comma or the bracket behind the last. That is found out before any
// number is read, so that how many there are in a block is nothing that a branch has to guess.
class Marked {
 public:
  static constexpr size_t BLOCKS = 8;

  uint16_t ends[BLOCKS * BLOCK + 16];
  size_t count = 0;
  bool closed = false;  // the last of them is the bracket

  // `left` bytes may be read from there. Ends are marked as long as a window may be read behind them.
  void mark(const char* at, size_t left) {
    for (size_t block = 0; block < BLOCKS && left >= (block + 1) * BLOCK + WINDOW && !closed; ++block) {
      const char* const from = at + block * BLOCK;
      const uint64_t bits = ends_of(in_block(from, ','), in_block(from, ']'));
      add(bits, static_cast<size_t>(set_in(bits)), block);
    }
  }

  // The ends in a block, given its commas and brackets.
  DRIFTD_INLINE uint64_t ends_of(uint64_t commas, uint64_t closing) {
    closed = closing != 0;
    return closed ? (commas & (closing ^ (closing - 1))) | (closing & (~closing + 1)) : commas;
  }

  // So many ends in a block.
  DRIFTD_INLINE void add(uint64_t bits, size_t more, size_t block) {
    uint16_t* to = ends + count;
    count += more;
    for (size_t done = 0; done < more; done += 8)
      for (int each = 0; each < 8; ++each, bits &= bits - 1)
        *to++ = static_cast<uint16_t>(block * BLOCK + static_cast<size_t>(__builtin_ctzll(bits | uint64_t{1} << 63)));
  }
};

// The number that is all there is in so many bytes: up to 8 digits in front of a point and 19 in all. False where it is anything else.
// A window may be read.
inline bool plain_number(const char* begin, size_t size, double& value) {
  if (size >= WINDOW) return false;
  const uint32_t negative = *begin == '-';
  const int digits = static_cast<int>(size) - static_cast<int>(negative);
  const uint32_t others = (~digits_in(begin) >> negative) & ((1u << digits) - 1);
  begin += negative;
  uint64_t mantissa;
  int count = 0;
  if (others == 0) {
    if (digits < 1 || digits > 8 || (digits > 1 && *begin == '0')) return false;
    mantissa = worth_of(begin, digits);
  } else {
    const int whole = lowest(others);
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

// Numbers of a run from one of them on, which begins there, as long as they are plain; which is the first that is not.
template <typename Writer>
size_t plain_run(const char* chunk, const Marked& marked, size_t at, const char*& begin, Writer& to) {
  for (double value; at < marked.count; ++at) {
    const char* const end = chunk + marked.ends[at];
    if (!plain_number(begin, static_cast<size_t>(end - begin), value)) break;
    to.put(value);
    begin = end + 1;
    begin += *begin == ' ';
  }
  return at;
}

#endif

}  // namespace driftd
