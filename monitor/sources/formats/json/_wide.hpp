// Many bytes of a message at once: SSE2, which every x86-64 has, NEON, which every AArch64 has, or eight bytes in a word.
//
// Nothing here looks where a message ends: who calls has so many bytes left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(DRIFTD_SCALAR)  // tests hold the wide paths to this one
#elif defined(__SSE2__)
#include <emmintrin.h>
#define DRIFTD_WIDE 1
#elif defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#define DRIFTD_WIDE 1
#endif

// What is seldom done, away from the loop that is done for each value: there it would cost registers.
#define DRIFTD_APART __attribute__((noinline))
#define DRIFTD_INLINE __attribute__((always_inline)) inline  // what is done for each value, wherever it is

namespace driftd {

constexpr ptrdiff_t WINDOW = 32;  // bytes that are looked at together

inline uint64_t word_at(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

inline uint32_t half_at(const char* at) {
  uint32_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// How many bytes lie below the lowest bit that is set.
inline int lowest(uint32_t bits) { return __builtin_ctz(bits); }
inline uint64_t lowest(uint64_t bits) { return static_cast<uint32_t>(__builtin_ctzll(bits)); }

// Where JSON may be cut: quotes, brackets of both kinds, commas; and what is odd there, backslashes and what is not ASCII.
struct Brackets {
  uint32_t quotes, brackets, commas, odd;
};

// --- what stands in a window, a bit for each byte --------------------------------------------------------------------

#if defined(DRIFTD_WIDE) && defined(__SSE2__)

inline uint32_t bits_of(__m128i low, __m128i high) {
  return static_cast<uint32_t>(_mm_movemask_epi8(low)) | static_cast<uint32_t>(_mm_movemask_epi8(high)) << 16;
}

inline __m128i half_window(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

inline uint32_t digits_in(const char* at) {
  const auto in = [](__m128i bytes) {
    const __m128i worth = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    return _mm_cmpeq_epi8(_mm_min_epu8(worth, _mm_set1_epi8(9)), worth);
  };
  return bits_of(in(half_window(at)), in(half_window(at + 16)));
}

// Quotes, backslashes, control characters and what is not ASCII. The last two are what lies below a space with its sign.
inline uint32_t marks_in(const char* at) {
  const auto in = [](__m128i bytes) {
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return _mm_or_si128(_mm_or_si128(quote, backslash), _mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')));
  };
  return bits_of(in(half_window(at)), in(half_window(at + 16)));
}

inline Brackets brackets_in(const char* at) {
  const __m128i low = half_window(at), high = half_window(at + 16);
  const auto quote = [](__m128i bytes) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')); };
  const auto comma = [](__m128i bytes) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(',')); };
  const auto odd = [](__m128i bytes) { return _mm_or_si128(bytes, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))); };  // by their signs
  const auto either = [](__m128i bytes) {  // of a pair the square one is 0x20 below the curly one
    const __m128i curly = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    return _mm_or_si128(_mm_cmpeq_epi8(curly, _mm_set1_epi8('{')), _mm_cmpeq_epi8(curly, _mm_set1_epi8('}')));
  };
  return {bits_of(quote(low), quote(high)), bits_of(either(low), either(high)), bits_of(comma(low), comma(high)), bits_of(odd(low), odd(high))};
}

// `right` is aligned to a window.
inline uint32_t alike(const char* left, const char* right) {
  const auto* whole = reinterpret_cast<const __m128i*>(right);
  return bits_of(_mm_cmpeq_epi8(half_window(left), _mm_load_si128(whole)),
                 _mm_cmpeq_epi8(half_window(left + 16), _mm_load_si128(whole + 1)));
}

#elif defined(DRIFTD_WIDE)

inline uint32_t bits_of(uint8x16_t low, uint8x16_t high) {
  static constexpr uint8_t WORTH[] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t worth = vld1q_u8(WORTH);
  const uint8x16_t pairs = vpaddq_u8(vandq_u8(low, worth), vandq_u8(high, worth));
  const uint8x16_t fours = vpaddq_u8(pairs, pairs);
  return vgetq_lane_u32(vreinterpretq_u32_u8(vpaddq_u8(fours, fours)), 0);
}

inline uint8x16_t half_window(const char* at) { return vld1q_u8(reinterpret_cast<const uint8_t*>(at)); }

inline uint32_t digits_in(const char* at) {
  const auto in = [](uint8x16_t bytes) { return vcleq_u8(vsubq_u8(bytes, vdupq_n_u8('0')), vdupq_n_u8(9)); };
  return bits_of(in(half_window(at)), in(half_window(at + 16)));
}

// Quotes, backslashes, control characters and what is not ASCII. The last two are what lies below a space with its sign.
inline uint32_t marks_in(const char* at) {
  const auto in = [](uint8x16_t bytes) {
    const uint8x16_t either = vorrq_u8(vceqq_u8(bytes, vdupq_n_u8('"')), vceqq_u8(bytes, vdupq_n_u8('\\')));
    return vorrq_u8(either, vcltq_s8(vreinterpretq_s8_u8(bytes), vdupq_n_s8(' ')));
  };
  return bits_of(in(half_window(at)), in(half_window(at + 16)));
}

inline Brackets brackets_in(const char* at) {
  const uint8x16_t low = half_window(at), high = half_window(at + 16);
  const auto quote = [](uint8x16_t bytes) { return vceqq_u8(bytes, vdupq_n_u8('"')); };
  const auto comma = [](uint8x16_t bytes) { return vceqq_u8(bytes, vdupq_n_u8(',')); };
  const auto odd = [](uint8x16_t bytes) { return vorrq_u8(vceqq_u8(bytes, vdupq_n_u8('\\')), vcgeq_u8(bytes, vdupq_n_u8(0x80))); };
  const auto either = [](uint8x16_t bytes) {
    const uint8x16_t curly = vorrq_u8(bytes, vdupq_n_u8(0x20));
    return vorrq_u8(vceqq_u8(curly, vdupq_n_u8('{')), vceqq_u8(curly, vdupq_n_u8('}')));
  };
  return {bits_of(quote(low), quote(high)), bits_of(either(low), either(high)), bits_of(comma(low), comma(high)), bits_of(odd(low), odd(high))};
}

inline uint32_t alike(const char* left, const char* right) {
  return bits_of(vceqq_u8(half_window(left), half_window(right)), vceqq_u8(half_window(left + 16), half_window(right + 16)));
}

#else

template <typename Test>
uint32_t bits_where(Test test) {
  uint32_t bits = 0;
  for (int at = 0; at < WINDOW; ++at) bits |= static_cast<uint32_t>(test(at)) << at;
  return bits;
}

inline uint32_t digits_in(const char* at) {
  return bits_where([at](int byte) { return at[byte] >= '0' && at[byte] <= '9'; });
}

inline uint32_t marks_in(const char* at) {
  return bits_where([at](int byte) {
    const auto c = static_cast<unsigned char>(at[byte]);
    return c == '"' || c == '\\' || c < ' ' || c >= 0x80;
  });
}

inline uint32_t alike(const char* left, const char* right) {
  return bits_where([left, right](int byte) { return left[byte] == right[byte]; });
}

#endif

}  // namespace driftd
