// Four numbers at once (HOT), on processors that have AVX2, BMI and LZCNT: nearly all since 2013. Which has them is asked when the program runs.
//
// Sixteen bytes that end where a number does: digits alone, the point taken out from among them, are worth what all others of as many are.
// What stands where is told by bits, 16 a number, all four in one word; so no branch depends on a sign, a first digit or how many there are.
//
//   byte      0                          15
//   number    . . 7 , - 1 2 . 3 4 5 6 7 8 9      at most 15 bytes, so that the first is never its own
//   inside    0 0 0 0 1 1 1 1 1 1 1 1 1 1 1
//   digits    0 0 0 0 0 1 1 0 1 1 1 1 1 1 1
#pragma once

#include "_plain.hpp"

#if defined(DRIFTD_WIDE) && defined(__x86_64__) && defined(__GNUC__) && !defined(DRIFTD_NO_FOURS)
#define DRIFTD_FOURS 1

#include <immintrin.h>

#define DRIFTD_BY_FOURS __attribute__((target("avx2,bmi,lzcnt,popcnt")))

namespace driftd {

inline bool has_fours() {
  static const bool found = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("lzcnt") &&
                            __builtin_cpu_supports("popcnt");
  return found;
}

constexpr size_t LANE = 16;       // bytes of a number, and bits
constexpr uint64_t FIRSTS = 0x0001000100010001u, LASTS = 0x8000800080008000u;  // of each number

// Sixteen bytes from `CLOSING + count` on, added to the places of bytes: with so many digits behind a point, what stands before it moves behind
// by one, onto it. Without a point only the first byte moves, which is no part of a number.
alignas(LANE) inline constexpr int8_t CLOSING[2 * LANE] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

// By digits behind a point; the last is of none.
constexpr double SCALES[LANE] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e0};

// The last bytes of a lane: sixteen from `INSIDE + size` on are those that a number of this size has.
alignas(LANE) inline constexpr uint8_t INSIDE[2 * LANE] = {0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                                                           0,    0,    0,    0,    0,    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                                           0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

// By which of four are negative, the bits in the order in which words have them: 0, 2, 1, 3.
struct Signs {
  double of[LANE][4];

  constexpr Signs() : of() {
    for (size_t bits = 0; bits < LANE; ++bits)
      for (size_t each = 0; each < 4; ++each) of[bits][each] = (bits >> (each == 1 ? 2 : each == 2 ? 1 : each) & 1) != 0 ? -0.0 : 0.0;
  }
};

alignas(32) inline constexpr Signs SIGNS;

// The first and third, or the second and fourth of four numbers, side by side.
struct Pair {
  __m256i bytes, inside;
};

DRIFTD_BY_FOURS DRIFTD_INLINE __m256i both(const void* low, const void* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(low))),
                                 _mm_loadu_si128(static_cast<const __m128i*>(high)), 1);
}

DRIFTD_BY_FOURS DRIFTD_INLINE uint64_t bits_of(__m256i even, __m256i odd) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(even)) | uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(odd))} << 32;
}

DRIFTD_BY_FOURS DRIFTD_INLINE uint64_t equal_in(const Pair& even, const Pair& odd, char wanted) {
  const __m256i each = _mm256_set1_epi8(wanted);
  return bits_of(_mm256_cmpeq_epi8(even.bytes, each), _mm256_cmpeq_epi8(odd.bytes, each));
}

DRIFTD_BY_FOURS DRIFTD_INLINE uint64_t digits_of(const Pair& even, const Pair& odd) {
  const __m256i zero = _mm256_set1_epi8('0'), nine = _mm256_set1_epi8(9);
  const __m256i left = _mm256_sub_epi8(even.bytes, zero), right = _mm256_sub_epi8(odd.bytes, zero);
  return bits_of(_mm256_cmpeq_epi8(_mm256_min_epu8(left, nine), left), _mm256_cmpeq_epi8(_mm256_min_epu8(right, nine), right));
}

// The digits alone, each as its number, in fours.
DRIFTD_BY_FOURS DRIFTD_INLINE __m256i fours_of(const Pair& pair, size_t low, size_t high) {
  const __m256i places = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m256i sign = _mm256_cmpeq_epi8(pair.bytes, _mm256_set1_epi8('-'));
  const __m256i worth = _mm256_and_si256(_mm256_sub_epi8(pair.bytes, _mm256_set1_epi8('0')), _mm256_andnot_si256(sign, pair.inside));
  const __m256i digits = _mm256_shuffle_epi8(worth, _mm256_add_epi8(both(CLOSING + low, CLOSING + high), places));
  return _mm256_madd_epi16(_mm256_maddubs_epi16(digits, _mm256_set1_epi16(10 | 1 << 8)), _mm256_set1_epi32(100 | 1 << 16));
}

// How many bits lie above the highest that is set.
DRIFTD_BY_FOURS DRIFTD_INLINE size_t above(uint64_t bits) { return static_cast<size_t>(_lzcnt_u64(bits)); }

// The numbers that end at four places and have so many bytes each, at most 15; false where one is none, or has an exponent. Sixteen bytes
// may be read that end where the first does.
DRIFTD_BY_FOURS DRIFTD_INLINE bool four_numbers(const char* const ends[4], const size_t sizes[4], __m256d& values) {
  const Pair even = {both(ends[0] - LANE, ends[2] - LANE), both(INSIDE + sizes[0], INSIDE + sizes[2])};
  const Pair odd = {both(ends[1] - LANE, ends[3] - LANE), both(INSIDE + sizes[1], INSIDE + sizes[3])};
  const uint64_t inside = bits_of(even.inside, odd.inside), digits = digits_of(even, odd);
  const uint64_t first = inside & ~(inside << 1);
  const uint64_t sign = equal_in(even, odd, '-') & inside, point = equal_in(even, odd, '.') & inside;
  const uint64_t leading = first + (sign & first);  // the first digit
  uint64_t wrong = ((inside & ~digits) ^ (sign | point)) | (sign & ~first) | (~inside & LASTS) | (sign & LASTS);
  wrong |= point & (leading | LASTS);                                         // ".5", "5."
  wrong |= point & ((point | LASTS) - FIRSTS);                                // "1.2.3": all but the lowest of each
  wrong |= ((equal_in(even, odd, '0') & leading) << 1) & inside & digits;  // "01"
  if (wrong != 0) return false;
  const uint64_t ended = point | FIRSTS;  // where there is no point it is far off
  const size_t behind[4] = {above(ended << 48), above(ended << 16), above(ended << 32), above(ended)};
  __m256i worth = _mm256_packus_epi32(fours_of(even, behind[0], behind[2]), fours_of(odd, behind[1], behind[3]));
  worth = _mm256_madd_epi16(worth, _mm256_set1_epi32(10000 | 1 << 16));
  worth = _mm256_add_epi64(_mm256_mul_epu32(worth, _mm256_set1_epi64x(100000000)), _mm256_srli_epi64(worth, 32));
  const __m256i big = _mm256_set1_epi64x(0x4330000000000000);  // 2^52: whole numbers below it are the lower bits of doubles from it on
  const __m256d mantissa = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(worth, big)), _mm256_castsi256_pd(big));
  const __m256d scale = _mm256_set_pd(SCALES[behind[3]], SCALES[behind[2]], SCALES[behind[1]], SCALES[behind[0]]);
  const uint64_t negative = ((sign + ~LASTS) & LASTS) >> 15;  // the lowest bit of each
  const double* const signs = SIGNS.of[negative * 0x0001000200040008u >> 48];
  values = _mm256_xor_pd(_mm256_div_pd(mantissa, scale), _mm256_load_pd(signs));
  values = _mm256_add_pd(values, _mm256_setzero_pd());  // of -0 it makes 0: an integer has no such sign
  return true;
}

// The same as `Marked::mark`, but the last of an array that goes on are left where they are fewer than four: they are read with those behind them.
DRIFTD_BY_FOURS inline void mark_by_fours(Marked& marked, const char* at, size_t left) {
  const __m256i comma = _mm256_set1_epi8(','), bracket = _mm256_set1_epi8(']');
  for (size_t block = 0; marked.has_block(block, left); ++block) {
    const auto* const from = reinterpret_cast<const __m256i*>(at + block * BLOCK);
    const __m256i low = _mm256_loadu_si256(from), high = _mm256_loadu_si256(from + 1);
    const uint64_t commas = bits_of(_mm256_cmpeq_epi8(low, comma), _mm256_cmpeq_epi8(high, comma));
    uint64_t bits = marked.ends_of(commas, bits_of(_mm256_cmpeq_epi8(low, bracket), _mm256_cmpeq_epi8(high, bracket)));
    uint16_t* to = marked.ends + marked.count;
    const auto more = static_cast<size_t>(_mm_popcnt_u64(bits));
    marked.count += more;
    for (const uint16_t* const end = to + more; to < end; to += 8) {
      for (int each = 0; each < 8; ++each, bits = _blsr_u64(bits)) {
        to[each] = static_cast<uint16_t>(block * BLOCK + _tzcnt_u64(bits));
        __asm__ volatile("" ::: "memory");  // one by one: to put them together first takes longer
      }
    }
  }
  if (!marked.closed && marked.count > 4) marked.count -= marked.count % 4;
}

// The same as `plain_run`. What lies before `floor` may not be read.
template <typename Writer>
DRIFTD_BY_FOURS size_t run_by_fours(const char* chunk, const Marked& marked, size_t at, const char*& begin, Writer& to, const char* floor) {
  const char* from = begin;
  Writer writer = to;
  while (at < marked.count) {
    const uint16_t* const ends = marked.ends + at;
    const char* const end = chunk + ends[0];
    if (at + 4 <= marked.count && end - floor >= static_cast<ptrdiff_t>(LANE)) {
      const char* const places[4] = {end, chunk + ends[1], chunk + ends[2], chunk + ends[3]};
      const size_t gap = places[0][1] == ' ' ? 2 : 1;  // from an end to the next number: if not from all of them, it is part of a number
      const size_t sizes[4] = {static_cast<size_t>(places[0] - from), static_cast<size_t>(places[1] - places[0]) - gap,
                               static_cast<size_t>(places[2] - places[1]) - gap, static_cast<size_t>(places[3] - places[2]) - gap};
      const bool alike = gap == 1 || (places[1][1] == ' ' && places[2][1] == ' ');
      __m256d values;
      if (alike && (sizes[0] | sizes[1] | sizes[2] | sizes[3]) < LANE && four_numbers(places, sizes, values)) {
        const __m128d low = _mm256_castpd256_pd128(values), high = _mm256_extractf128_pd(values, 1);
        writer.put(_mm_cvtsd_f64(low));
        writer.put(_mm_cvtsd_f64(_mm_unpackhi_pd(low, low)));
        writer.put(_mm_cvtsd_f64(high));
        writer.put(_mm_cvtsd_f64(_mm_unpackhi_pd(high, high)));
        from = places[3] + 1;
        from += *from == ' ';
        at += 4;
        continue;
      }
    }
    double value;
    if (!plain_number(from, static_cast<size_t>(end - from), value)) break;
    writer.put(value);
    from = end + 1;
    from += *from == ' ';
    ++at;
  }
  begin = from;
  to = writer;
  return at;
}

}  // namespace driftd

#endif
