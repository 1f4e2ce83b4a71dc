// Many numbers at once (HOT), on processors that have AVX2, BMI and POPCNT: nearly all since 2013. Which has them is asked when the
// program runs.
//
// First what stands where, 64 bytes at a time and a bit each: that is enough to tell whether all of them are plain numbers, for a carry runs
// through the digits of one as it does through the ones of a sum. No branch depends on a sign, on a first digit or on how many there are.
//
//   bytes          - 1 2 . 3 4 5 , 6 . 7 ,
//   digits D       0 1 1 0 1 1 1 0 1 0 1 0
//   first digits   0 1 0 0 0 0 0 0 1 0 0 0    behind what goes before a number, and its sign
//   stops          0 0 0 1 0 0 0 0 0 1 0 0    (D + first digits) without D: where digits end that began as a number
//   ends           0 0 0 0 0 0 0 1 0 0 0 1
//
// Then four at once, sixteen bytes each that end where a number does. Which of them are digits, and in which order, is the same for all numbers
// of so many bytes with so many of them from the stop on: it stands in a table.
#pragma once

#include "_plain.hpp"

#include <algorithm>

#if defined(DRIFTD_WIDE) && defined(__x86_64__) && defined(__GNUC__) && !defined(DRIFTD_NO_FOURS)
#define DRIFTD_FOURS 1

#include <immintrin.h>

#define DRIFTD_BY_FOURS __attribute__((target("avx2,bmi,popcnt")))

namespace driftd {

inline bool has_fours() {
  static const bool found = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
  return found;
}

constexpr size_t LANE = 16;  // bytes of a number: one of fewer has at most 15 digits, and these are exact in a double

DRIFTD_BY_FOURS DRIFTD_INLINE __m256i both(const void* low, const void* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(low))),
                                 _mm_loadu_si128(static_cast<const __m128i*>(high)), 1);
}

DRIFTD_BY_FOURS DRIFTD_INLINE uint64_t bits_of(__m256i low, __m256i high) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(low)) | uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(high))} << 32;
}

DRIFTD_BY_FOURS DRIFTD_INLINE uint64_t digits_in(__m256i low, __m256i high) {
  const __m256i up = _mm256_set1_epi8(static_cast<char>(0x80 - '0')), ten = _mm256_set1_epi8(static_cast<char>(0x80 + 10));  // as signed bytes compare
  return bits_of(_mm256_cmpgt_epi8(ten, _mm256_add_epi8(low, up)), _mm256_cmpgt_epi8(ten, _mm256_add_epi8(high, up)));
}

DRIFTD_BY_FOURS DRIFTD_INLINE uint64_t equal_in(__m256i low, __m256i high, char wanted) {
  const __m256i each = _mm256_set1_epi8(wanted);
  return bits_of(_mm256_cmpeq_epi8(low, each), _mm256_cmpeq_epi8(high, each));
}

// Of numbers that have so many bytes, so many of them from their stop on, 0 without a point: which byte of a lane each digit is, the last at
// the end of the lane, and a sign is one of them, worth nothing; the first byte once more, to be asked whether it is a sign; no other byte.
// And what their digits are divided by.
struct Shape {
  uint8_t digits[LANE] = {};
  double scale = 0, unused = 0;
};

struct Shapes {
  Shape of[LANE * LANE];

  constexpr Shapes() : of() {
    double scale = 1;
    for (size_t behind = 0; behind < LANE; scale *= behind < 1 ? 1 : 10, ++behind)
      for (size_t size = 1; size < LANE; ++size) {
        Shape& shape = of[behind * LANE + size];
        shape.scale = scale;
        shape.digits[0] = static_cast<uint8_t>(LANE - size);
        for (size_t place = 1; place < LANE; ++place) {
          const size_t left = LANE - 1 - place;  // digits to the right of it
          const bool moved = behind != 0 && left + 1 >= behind;
          shape.digits[place] = static_cast<uint8_t>(left + (behind != 0) < size ? place - moved : 0x80);
        }
      }
  }
};

alignas(2 * LANE) inline constexpr Shapes SHAPES;
static_assert(sizeof SHAPES.of == LANE * LANE << 5);

// Some blocks of an array of plain numbers: `12`, `-0.5`, of any length, all with a space behind the comma in front of them or none.
class Shaped {
 public:
  static constexpr size_t BLOCKS = 16;

  explicit Shaped(bool spaced) : spaced_(spaced) {}

  // The numbers up to the first that is none, or the last that ends in the blocks; the first begins there. Where more follow, the last are
  // left if they are fewer than four: they are read with those. `left` bytes may be read.
  DRIFTD_BY_FOURS void mark(const char* at, size_t left) {
    const bool more = spaced_ ? mark_blocks<true>(at, left) : mark_blocks<false>(at, left);
    if (more && count_ > 4) count_ -= count_ % 4;
    tell();
  }

  size_t count() const { return count_; }
  bool closed() const { return closed_; }  // the last of them ends at the bracket

  // Where a number begins, and where it ends.
  const char* begin_of(const char* chunk, size_t at) const { return chunk + static_cast<int16_t>(ends_[at]) + 1 + spaced_; }
  const char* end_of(const char* chunk, size_t at) const { return chunk + ends_[at + 1]; }

  // Numbers from one of them on, which there is, as long as they are plain; which is the first that is not. What lies before `floor` may not be read.
  template <typename Writer>
  DRIFTD_BY_FOURS size_t read(const char* chunk, size_t at, Writer& to, const char* floor) const {
    Writer writer = to;
    size_t alone = end_of(chunk, at) - floor < static_cast<ptrdiff_t>(LANE) ? LANE / 2 : 0;  // such as lie near it
    for (;;) {
      if (alone != 0) {
        Writer apart = writer;
        const size_t until = std::min(at + alone, count_);
        at = read_alone(chunk, at, until, apart);
        writer = apart;
        if (at < until) break;
      }
      for (; at + 4 <= count_; at += 4) {
        const size_t shapes[4] = {shapes_[at], shapes_[at + 1], shapes_[at + 2], shapes_[at + 3]};
        if ((shapes[0] | shapes[1] | shapes[2] | shapes[3]) >= sizeof SHAPES.of) break;
        four(chunk, at, shapes, writer);
      }
      if (at == count_) break;
      alone = 4;
    }
    to = writer;
    return at;
  }

 private:
  static constexpr size_t LONGER = 0x8000;  // in place of a shape, with the bytes from the stop on
  static constexpr size_t MOST = BLOCKS * BLOCK / 2 + 16;  // each takes two bytes at least; and as many may be written behind as are at once

  // Of the blocks before: whether the last byte is a comma, a space behind one or nothing at all, a sign, a point, a first digit of 0, one of the
  // digits that a number begins with.
  struct Carried {
    uint64_t comma = 0, begun = 1, sign = 0, point = 0, naught = 0;
    uint8_t running = 0;
  };

  // Whether what follows may be plain numbers, too.
  template <bool spaced>
  DRIFTD_BY_FOURS DRIFTD_INLINE bool mark_blocks(const char* at, size_t left) {
    Carried carried;
    uint16_t *ends = ends_ + 1, *stops = shapes_;
    bool closed = false, plain = true;
    for (size_t block = 0; block < BLOCKS && left >= (block + 1) * BLOCK + WINDOW && !closed; ++block) {
      uint64_t stopped, ended;
      const uint64_t odd = looked_at<spaced>(at + block * BLOCK, carried, stopped, ended, closed);
      if (odd != 0) {
        const uint64_t before = (odd & (~odd + 1)) - 1;
        put_apart(stopped & before, ended & before, stops, ends, block * BLOCK);
        ends += _mm_popcnt_u64(ended & before);
        closed = plain = false;
        break;
      }
      put(stopped, ended, stops, ends, block * BLOCK);
      stops += _mm_popcnt_u64(stopped);
      ends += _mm_popcnt_u64(ended);
    }
    count_ = static_cast<size_t>(ends - ends_ - 1);
    closed_ = closed;
    return plain && !closed;
  }

  // The stops and ends in a block, and where anything is that is part of no plain number: the first of these is right, and what lies before it.
  template <bool spaced>
  DRIFTD_BY_FOURS DRIFTD_INLINE static uint64_t looked_at(const char* from, Carried& carried, uint64_t& stops, uint64_t& ends, bool& closed) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + 1);
    uint64_t digits = digits_in(low, high), commas = equal_in(low, high, ','), points = equal_in(low, high, '.'), signs = equal_in(low, high, '-');
    uint64_t spaces = spaced ? equal_in(low, high, ' ') : 0;
    const uint64_t zeros = equal_in(low, high, '0'), others = ~(digits | commas | points | signs | spaces);
    uint64_t odd = 0;
    ends = commas;
    if (others != 0) {
      const uint64_t closing = equal_in(low, high, ']'), bracket = closing & (~closing + 1), known = bracket ^ (bracket - 1);
      odd = others & known & ~bracket;
      digits &= known, commas &= known, points &= known, signs &= known, spaces &= known;
      ends = commas | bracket;
      closed = bracket != 0;
    }
    const uint64_t behind = commas << 1 | carried.comma;
    const uint64_t begins = (spaced ? spaces << 1 : behind) | carried.begun;
    const uint64_t firsts = (begins & ~signs) | signs << 1 | carried.sign;
    const uint64_t naughts = zeros & firsts;
    unsigned long long sum;
    carried.running = _addcarry_u64(carried.running, digits, firsts, &sum);
    stops = sum & ~digits;
    odd |= (signs & ~begins) | (spaced ? spaces ^ behind : 0);
    odd |= (firsts | points << 1 | carried.point) & ~digits;  // "-", "5."
    odd |= stops ^ (points | (stops & ends));                 // ".5", "1.2.3"
    odd |= (naughts << 1 | carried.naught) & digits;          // "01"
    carried.comma = commas >> 63;
    carried.begun = spaces >> 63;
    carried.sign = signs >> 63;
    carried.point = points >> 63;
    carried.naught = naughts >> 63;
    return odd;
  }

  DRIFTD_BY_FOURS static DRIFTD_INLINE void put(uint64_t stopped, uint64_t ended, uint16_t* stops, uint16_t* ends, size_t place) {
    for (;; stops += 8, ends += 8) {
      put_eight(stopped, stops, place);
      put_eight(ended, ends, place);
      if ((stopped | ended) == 0) return;  // as a rule
    }
  }

  DRIFTD_BY_FOURS DRIFTD_APART static void put_apart(uint64_t stopped, uint64_t ended, uint16_t* stops, uint16_t* ends, size_t place) {
    put(stopped, ended, stops, ends, place);
  }

  DRIFTD_BY_FOURS static DRIFTD_INLINE void put_eight(uint64_t& bits, uint16_t* to, size_t place) {
    for (int each = 0; each < 8; ++each, bits = _blsr_u64(bits)) {
      to[each] = static_cast<uint16_t>(place + _tzcnt_u64(bits));
      __asm__ volatile("" ::: "memory");  // one by one: to put them together first takes longer
    }
  }

  // From where numbers stop and end to the place of the shape of each.
  DRIFTD_BY_FOURS void tell() {
    const auto from = [](const uint16_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); };
    ends_[0] = static_cast<uint16_t>(-1 - static_cast<int>(spaced_));
    const __m128i gap = _mm_set1_epi16(static_cast<short>(1 + spaced_)), most = _mm_set1_epi16(LANE - 1);
    for (size_t at = 0; at < count_; at += 8) {
      const __m128i ends = from(ends_ + 1 + at), behind = _mm_sub_epi16(ends, from(shapes_ + at));
      const __m128i size = _mm_sub_epi16(_mm_sub_epi16(ends, from(ends_ + at)), gap);
      const __m128i shape = _mm_or_si128(_mm_slli_epi16(behind, 4 + 5), _mm_slli_epi16(size, 5));  // in bytes
      const __m128i other = _mm_or_si128(behind, _mm_set1_epi16(static_cast<short>(LONGER)));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(shapes_ + at), _mm_blendv_epi8(shape, other, _mm_cmpgt_epi16(size, most)));
    }
  }

  // The same, one by one.
  template <typename Writer>
  DRIFTD_APART size_t read_alone(const char* chunk, size_t at, size_t until, Writer& to) const {
    for (double value; at < until && one(begin_of(chunk, at), end_of(chunk, at), shapes_[at], value); ++at) to.put(value);
    return at;
  }

  // One of any length: up to 19 digits, a leading 0 not counted. A window may be read behind it.
  static bool one(const char* begin, const char* end, size_t shape, double& value) {
    const size_t behind = shape < sizeof SHAPES.of ? shape >> (4 + 5) : shape - LONGER, fraction = behind - (behind != 0);
    const uint32_t negative = *begin == '-';
    begin += negative;
    const auto size = static_cast<size_t>(end - begin);
    if (size - (behind != 0) > static_cast<size_t>(MOST_DIGITS) + (*begin == '0')) return false;
    uint64_t mantissa = all_of(begin, size - behind, 0);
    if (fraction != 0) mantissa = all_of(end - fraction, fraction, mantissa);
    if (mantissa > EXACT_WHOLE - (behind == 0)) {
      if (behind == 0 || !by_division(mantissa, -static_cast<int64_t>(fraction), value)) return false;
    } else {
      value = static_cast<double>(static_cast<int64_t>(mantissa)) / POWERS[fraction];
    }
    value = with_sign(value, negative) + 0.0;  // of -0 it makes 0: an integer has no such sign
    return true;
  }

  // So many digits behind others that are worth so much.
  static uint64_t all_of(const char* at, size_t count, uint64_t worth) {
    for (; count > 8; count -= 8, at += 8) worth = worth * WHOLE_POWERS[8] + worth_of(at, 8);
    return worth * WHOLE_POWERS[count] + worth_of(at, static_cast<int>(count));
  }

  // Two numbers' digits, and what is asked whether it is a sign.
  DRIFTD_BY_FOURS DRIFTD_INLINE static __m256i lanes(const char* low, const char* high, const Shape& low_shape, const Shape& high_shape) {
    return _mm256_shuffle_epi8(both(low - LANE, high - LANE), both(low_shape.digits, high_shape.digits));
  }

  // Their worth, in fours; of what is no digit nothing is left, nor of the first byte.
  DRIFTD_BY_FOURS DRIFTD_INLINE static __m256i fours_of(__m256i lanes) {
    constexpr char Z = '0', F = static_cast<char>(0xFF);
    const __m256i zeros = _mm256_setr_epi8(F, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, F, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_subs_epu8(lanes, zeros), _mm256_set1_epi16(10 | 1 << 8));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi32(100 | 1 << 16));
  }

  static DRIFTD_INLINE const Shape& shape_at(size_t place) { return *reinterpret_cast<const Shape*>(reinterpret_cast<const char*>(SHAPES.of) + place); }

  // Four numbers of such shapes. Sixteen bytes may be read that end where the first does.
  template <typename Writer>
  DRIFTD_BY_FOURS DRIFTD_INLINE void four(const char* chunk, size_t at, const size_t shapes[4], Writer& writer) const {
    const uint16_t* const ends = ends_ + 1 + at;
    const Shape &first = shape_at(shapes[0]), &second = shape_at(shapes[1]), &third = shape_at(shapes[2]), &fourth = shape_at(shapes[3]);
    const __m256i even = lanes(chunk + ends[0], chunk + ends[2], first, third), odd = lanes(chunk + ends[1], chunk + ends[3], second, fourth);
    __m256i worth = _mm256_madd_epi16(_mm256_packus_epi32(fours_of(even), fours_of(odd)), _mm256_set1_epi32(10000 | 1 << 16));
    worth = _mm256_add_epi64(_mm256_mul_epu32(worth, _mm256_set1_epi64x(100000000)), _mm256_srli_epi64(worth, 32));
    const __m256i big = _mm256_set1_epi64x(0x4330000000000000);  // 2^52: whole numbers below it are the lower bits of doubles from it on
    const __m256d mantissa = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(worth, big)), _mm256_castsi256_pd(big));
    const __m256d scale = _mm256_set_pd(fourth.scale, third.scale, second.scale, first.scale);
    const __m256i signs = _mm256_slli_epi64(_mm256_cmpeq_epi8(_mm256_unpacklo_epi64(even, odd), _mm256_set1_epi8('-')), 56);
    __m256d values = _mm256_div_pd(mantissa, scale);
    values = _mm256_xor_pd(values, _mm256_and_pd(_mm256_castsi256_pd(signs), _mm256_set1_pd(-0.0)));
    values = _mm256_add_pd(values, _mm256_setzero_pd());  // of -0 it makes 0: an integer has no such sign
    const __m128d low = _mm256_castpd256_pd128(values), high = _mm256_extractf128_pd(values, 1);
    writer.put(_mm_cvtsd_f64(low));
    writer.put(_mm_cvtsd_f64(_mm_unpackhi_pd(low, low)));
    writer.put(_mm_cvtsd_f64(high));
    writer.put(_mm_cvtsd_f64(_mm_unpackhi_pd(high, high)));
  }

  uint16_t ends_[MOST];    // from the second on; the first is where one would have ended before the first number
  uint16_t shapes_[MOST];  // at first: stops
  size_t count_ = 0;
  bool closed_ = false;
  const bool spaced_;
};

}  // namespace driftd

#endif
