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

inline uint64_t no_digits_in_block(const char* at) { return ~(digits_in(at) | uint64_t{digits_in(at + WINDOW)} << WINDOW); }

inline int set_in(uint64_t bits) {  // as no instruction counts that every x86-64 has
  bits -= (bits >> 1) & 0x5555555555555555u;
  bits = (bits & 0x3333333333333333u) + ((bits >> 2) & 0x3333333333333333u);
  return static_cast<int>((((bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u) >> 56);
}

// Some blocks of an array of numbers: where each of them ends, at a comma or the bracket behind the last, and what is no digit. That is found
// out before any number is read, so that how many there are in a block is nothing that a branch has to guess.
class Marked {
 public:
  static constexpr size_t BLOCKS = 8;

  uint16_t ends[BLOCKS * BLOCK + 16];
  size_t count = 0;
  bool closed = false;  // the last of them is the bracket

  // `left` bytes may be read from there. Ends are marked as long as a window may be read behind them.
  Marked(const char* at, size_t left) {
    size_t block = 0;
    for (; block < BLOCKS && left >= (block + 1) * BLOCK + WINDOW && !closed; ++block) {
      const char* const from = at + block * BLOCK;
      const uint64_t closing = in_block(from, ']');
      uint64_t bits = in_block(from, ',');
      others_[block] = no_digits_in_block(from);
      closed = closing != 0;
      if (closed) bits = (bits & (closing ^ (closing - 1))) | (closing & (~closing + 1));
      mark(bits, static_cast<uint16_t>(block * BLOCK));
    }
    others_[block] = others_[block + 1] = ~uint64_t{0};
  }

  // Which bytes from there on are no digits, a bit each. Words are read as they were written: a processor waits where they overlap.
  uint32_t others(size_t from) const {
    const uint64_t* const word = others_ + from / 64;
    return static_cast<uint32_t>(word[0] >> from % 64 | word[1] << 1 << (63 - from % 64));
  }

 private:
  void mark(uint64_t bits, uint16_t first) {
    const auto more = static_cast<size_t>(set_in(bits));
    uint16_t* to = ends + count;
    count += more;
    for (size_t done = 0; done < more; done += 8)
      for (int each = 0; each < 8; ++each, bits &= bits - 1) *to++ = static_cast<uint16_t>(first + __builtin_ctzll(bits | uint64_t{1} << 63));
  }

  uint64_t others_[BLOCKS + 2];
};

// The number that is all there is in so many bytes: up to 8 digits in front of a point and 19 in all. False where it is anything else.
// `others` are the bytes that are no digits. A window may be read.
inline bool plain_number(const char* begin, size_t size, uint32_t others, double& value) {
  if (size >= WINDOW) return false;
  const uint32_t negative = *begin == '-';
  const int digits = static_cast<int>(size) - static_cast<int>(negative);
  begin += negative;
  others = (others >> negative) & ((1u << digits) - 1);
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

// --- a shuffle a number -------------------------------------------------------------------------------------------------
//
// Sixteen bytes that end where the number does: digits alone, the point taken out from among them, are worth what all others of as many are.

#if defined(__x86_64__) && defined(__GNUC__) && !defined(DRIFTD_UNSHUFFLED)
#define DRIFTD_SHUFFLES 1
#endif

#ifdef DRIFTD_SHUFFLES
}  // namespace driftd

#include <immintrin.h>

namespace driftd {

#define DRIFTD_SHUFFLING __attribute__((target("ssse3,sse4.1,bmi,bmi2,popcnt")))  // of whoever has these, since 2013 nearly all

inline bool shuffles() {
  static const bool found = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("bmi") &&
                            __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  return found;
}

constexpr ptrdiff_t LANE = 16;  // bytes

// By digits behind a point: what stands before it moves behind by one, onto it. Of none all stays.
struct Closings {
  uint8_t from[LANE][LANE];

  constexpr Closings() : from() {
    for (int count = 0; count < LANE; ++count)
      for (int at = 0; at < LANE; ++at) from[count][at] = static_cast<uint8_t>(count == 0 || at >= LANE - count ? at : at == 0 ? 0x80 : at - 1);
  }
};

alignas(LANE) inline constexpr Closings CLOSINGS;

alignas(LANE) inline constexpr uint8_t EDGE[2 * LANE] = {0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                                                         0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

// The same as `plain_number` of up to 16 bytes, of which 16 may be read that end with it. It may also have more than 8 digits in front of
// a point, as long as they are exact.
DRIFTD_SHUFFLING inline bool shuffled_number(const char* begin, size_t size, double& value) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin + size - LANE));
  __m128i worth = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
  const auto all = static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(worth, _mm_set1_epi8(9)), worth))) ^ 0xFFFFu;
  const uint32_t others = all >> (LANE - size);
  const size_t negative = others & 1;
  const uint32_t points = others & ~1u;
  const auto point = static_cast<size_t>(__builtin_ctz(points | 1u << size));
  const size_t whole = point - negative;
  size_t count = 0;
  if (points != 0) {
    count = size - 1 - point;
    if ((points & (points - 1)) != 0 || begin[point] != '.' || count == 0) return false;
  }
  if (whole == 0) return false;
  const uint32_t unsaid = static_cast<uint32_t>(*begin == '-') ^ static_cast<uint32_t>(negative), codes = (begin[negative] == '0') & (whole > 1);
  if ((unsaid | codes) != 0) return false;  // in one, without a branch before: signs and first digits are random
  worth = _mm_and_si128(worth, _mm_loadu_si128(reinterpret_cast<const __m128i*>(EDGE + size - negative)));
  worth = _mm_shuffle_epi8(worth, _mm_load_si128(reinterpret_cast<const __m128i*>(CLOSINGS.from[count])));
  worth = _mm_maddubs_epi16(worth, _mm_set1_epi16(10 | 1 << 8));
  worth = _mm_madd_epi16(worth, _mm_set1_epi32(100 | 1 << 16));
  worth = _mm_packus_epi32(worth, worth);
  worth = _mm_madd_epi16(worth, _mm_set1_epi32(10000 | 1 << 16));
  const auto halves = static_cast<uint64_t>(_mm_cvtsi128_si64(worth));
  const uint64_t mantissa = (halves & 0xFFFFFFFFu) * WHOLE_POWERS[8] + (halves >> 32);
  if (mantissa >= EXACT_WHOLE) {
    if (points == 0 || mantissa == EXACT_WHOLE || !by_division(mantissa, -static_cast<int64_t>(count), value)) return false;
    value = with_sign(value, static_cast<uint32_t>(negative));
    return true;
  }
  const auto sign = -static_cast<int64_t>(negative);
  value = static_cast<double>((static_cast<int64_t>(mantissa) ^ sign) - sign) / POWERS[count];  // a whole number has no -0
  return true;
}
#endif

// Numbers of a run from one of them on, which begins there, as long as they are plain; which is the first that is not.
template <typename Writer>
size_t plain_run(const char* chunk, const Marked& marked, size_t at, const char*& begin, Writer& to) {
  for (double value; at < marked.count; ++at) {
    const char* const end = chunk + marked.ends[at];
    if (!plain_number(begin, static_cast<size_t>(end - begin), marked.others(static_cast<size_t>(begin - chunk)), value)) break;
    to.put(value);
    begin = end + 1;
    begin += *begin == ' ';
  }
  return at;
}

#ifdef DRIFTD_SHUFFLES
// The same. What lies before `floor` may not be read.
template <typename Writer>
DRIFTD_SHUFFLING size_t shuffled_run(const char* chunk, const Marked& marked, size_t at, const char*& begin, Writer& to, const char* floor) {
  const char* from = begin;
  Writer writer = to;
  for (double value; at < marked.count; ++at) {
    const char* const end = chunk + marked.ends[at];
    const auto size = static_cast<size_t>(end - from);
    if (size - 1 < LANE && end - floor >= LANE) {
      if (!shuffled_number(from, size, value)) break;
    } else if (!plain_number(from, size, marked.others(static_cast<size_t>(from - chunk)), value)) {
      break;
    }
    writer.put(value);
    from = end + 1;
    from += *from == ' ';
  }
  begin = from;
  to = writer;
  return at;
}
#endif

#endif

}  // namespace driftd
