// Sums over the cells of a window, a pass each. detectors/sketches/sums.py says the same in numpy, operation by operation:
// additions of floats are in the same order, products are not fused into them (-ffp-contract=off in hatch_build.py), and
// a largest or smallest of numbers is the same in any order.
#include "_view.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define DRIFTD_AVX2 __attribute__((target("avx2")))  // twice as wide: asked for at run time, since not every machine has it
#endif

namespace {

constexpr std::int64_t LANES = 4;  // sums side by side: an addition need not wait for the last one

// One array given to a function: contiguous, of so many dimensions.
template <typename Number>
class Array {
  public:
    Array(PyObject *object, int dimensions, int flags = PyBUF_CONTIG_RO)
        : view_(object, flags | PyBUF_FORMAT), fits_(view_.holds(letters(), sizeof(Number), dimensions) &&
                                                    view_.aligned(alignof(Number))) {}
    bool fits() const { return fits_; }
    Py_ssize_t length(int axis = 0) const { return view_.buffer.shape[axis]; }
    Number *data() const { return static_cast<Number *>(view_.buffer.buf); }
    Number &operator[](Py_ssize_t at) const { return data()[at]; }

  private:
    static const char *letters();
    View view_;
    bool fits_;
};

template <>
const char *Array<std::int64_t>::letters() { return "lq"; }
template <>
const char *Array<double>::letters() { return "d"; }
template <>
const char *Array<std::int32_t>::letters() { return "il"; }
template <>
const char *Array<bool>::letters() { return "?"; }

template <>
const char *Array<std::uint64_t>::letters() { return "LQ"; }

using Ints = Array<std::int64_t>;
using Floats = Array<double>;

// Counts as they are kept: in the smallest unsigned integers that hold them, or in 64 bits. Of two dimensions where they are of
// several windows, a row each.
class Counts {
  public:
    explicit Counts(PyObject *object, int flags = PyBUF_CONTIG_RO, int dimensions = 1) : view_(object, flags | PyBUF_FORMAT) {
        const char *const letters[] = {"B", "H", "IL", "lq"};
        for (int kind = 0; kind < 4; ++kind)
            if (view_.holds(letters[kind], Py_ssize_t{1} << kind, dimensions) && view_.aligned(std::size_t{1} << kind))
                width_ = Py_ssize_t{1} << kind;
    }
    bool fits() const { return width_ > 0; }
    bool fits(Py_ssize_t cells) const { return width_ > 0 && length() == cells; }
    Py_ssize_t windows() const { return view_.buffer.shape[0]; }
    Py_ssize_t length() const { return view_.buffer.shape[view_.buffer.ndim - 1]; }
    Py_ssize_t width() const { return width_; }
    template <typename Count>
    Count *data() const { return static_cast<Count *>(view_.buffer.buf); }

    // Let something work on them as what they are.
    template <typename Work>
    void with(Work work) const {
        switch (width_) {
            case 1: work(data<std::uint8_t>()); break;
            case 2: work(data<std::uint16_t>()); break;
            case 4: work(data<std::uint32_t>()); break;
            default: work(data<std::int64_t>());
        }
    }

    // The same window by window, by their numbers.
    template <typename Work>
    void with_each(Work work) const {
        with([&](const auto *counts) {
            for (Py_ssize_t window = 0; window < windows(); ++window) work(window, counts + window * length());
        });
    }

  private:
    View view_;
    Py_ssize_t width_ = 0;
};

// Of counts of several windows, a row each.
Counts counts_of_windows(PyObject *object) { return Counts(object, PyBUF_CONTIG_RO, 2); }

// Whether each run of cells lies within the counts, and no run is longer than a row of the tables.
bool runs_fit(const Ints &starts, const Ints &widths, Py_ssize_t size, Py_ssize_t widest) {
    for (Py_ssize_t row = 0; row < starts.length(); ++row)
        if (starts[row] < 0 || widths[row] < 1 || widths[row] > widest || starts[row] > size - widths[row]) return false;
    return true;
}

// Whether the runs that begin here follow each other from the first cell to the last, and none is empty.
bool chained(const Ints &starts, Py_ssize_t size) {
    for (Py_ssize_t row = 0; row < starts.length(); ++row) {
        const std::int64_t end = row + 1 < starts.length() ? starts[row + 1] : size;
        if (starts[row] < 0 || starts[row] >= end || end > size) return false;
    }
    return starts.length() == 0 || starts[0] == 0;
}

bool same_length(std::initializer_list<Py_ssize_t> lengths) {
    return std::all_of(lengths.begin(), lengths.end(), [&](Py_ssize_t each) { return each == *lengths.begin(); });
}

// One feature of the reference: rows up to each right edge, which bins hold a single value, rows in all, and the largest
// share of the other bins.
struct Reference {
    const std::int32_t *upto;
    const bool *single;
    double rows, most;

    double share(std::int64_t cell) const {
        return static_cast<double>(upto[cell] - (cell > 0 ? upto[cell - 1] : 0)) / rows;
    }
};

// How far a running share is from the reference's: `value` at the edges, `upper` inside the bins, each to the last bit as the
// quotients say. A division takes longer than all else, so it is done only where products in single precision say that it
// matters: they are off by less than half of NEAR, four roundings of shares between 0 and 1. The reference's own shares are divided out anew, for as tables they are most of what a
// reference takes in memory.
constexpr double NEAR = 1e-6;

// Two numbers that are worked on at once, as every 64-bit machine can.
constexpr std::int64_t PAIR = 2;
typedef double Pair __attribute__((vector_size(16)));

Pair pair_of(const std::int32_t *two) {
#ifdef __SSE2__
    return _mm_cvtepi32_pd(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(two)));  // compilers convert one after the other
#else
    return Pair{static_cast<double>(two[0]), static_cast<double>(two[1])};
#endif
}

Pair size_of(Pair two) {
#ifdef __SSE2__
    return _mm_andnot_pd(_mm_set1_pd(-0.0), two);  // compilers compare and choose
#else
    return two < -two ? -two : two;
#endif
}

Pair larger_of(Pair one, Pair other) {
#ifdef __SSE2__
    return _mm_max_pd(one, other);
#else
    return one < other ? other : one;
#endif
}

#ifdef __SSE2__
// Four counts as numbers of 32 bits.
inline __m128i four(const std::uint8_t *counts) {
    std::int32_t together;
    std::memcpy(&together, counts, sizeof together);
    const __m128i none = _mm_setzero_si128();
    return _mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(together), none), none);
}
inline __m128i four(const std::uint16_t *counts) {
    return _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(counts)), _mm_setzero_si128());
}
#endif

#ifdef DRIFTD_AVX2
const bool CAN_BE_WIDE = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}();
bool wide = CAN_BE_WIDE;  // tests do without it, as machines do that have none

DRIFTD_AVX2 inline __m256i eight(const std::uint8_t *counts) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(counts)));
}
DRIFTD_AVX2 inline __m256i eight(const std::uint16_t *counts) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(counts)));
}
#endif

constexpr std::int64_t BLOCK = 32;  // cells that are looked at again together
constexpr std::int64_t FEWER = 1 << 15;  // cells of 16 bits, whose sum 31 bits hold

class Distance {
  public:
    explicit Distance(Py_ssize_t widest)
        : cells_(new (std::nothrow) double[static_cast<std::size_t>(widest)]),
          near_(new (std::nothrow) float[static_cast<std::size_t>(widest)]),
          blocks_(new (std::nothrow) float[static_cast<std::size_t>(widest / BLOCK + 1)]) {}
    bool ready() const { return cells_ != nullptr && near_ != nullptr && blocks_ != nullptr; }

    template <typename Count>
    void find(const Count *counts, std::int64_t width, double rows, const Reference &reference, double *value, double *upper) {
        width_ = width;
        rows_ = rows;
        reference_ = &reference;
        std::int64_t place = 0;
        *value = at_edges(look(counts), &place);
        *upper = std::min(inside(*value, place), 1.0);
    }

  private:
    double *running() const { return cells_.get(); }  // rows of the window up to each right edge,
    std::int32_t *few() const { return reinterpret_cast<std::int32_t *>(cells_.get()); }  // or the same where they are so few
    float *near() const { return near_.get(); }  // how far apart, near enough
    std::int64_t last(std::int64_t first) const { return std::min(first + BLOCK, width_); }
    double apart(std::int64_t cell) const {
        const double upto = are_few_ ? static_cast<double>(few()[cell]) : running()[cell];
        return upto / rows_ - static_cast<double>(reference_->upto[cell]) / reference_->rows;
    }

    // How far all cells are, near enough, and the most of each block; the most of all is returned.
    template <typename Count>
    double look(const Count *counts) {
        are_few_ = false;
#ifdef DRIFTD_AVX2
        if constexpr (sizeof(Count) <= 2)
            if (wide && width_ <= FEWER) return look_by_eight(counts);
#endif
        run(counts);
        double highest = 0.0;
        for (std::int64_t first = 0; first < width_; first += BLOCK)
            highest = std::max(highest, static_cast<double>(blocks_[first / BLOCK] = static_cast<float>(look(first, last(first)))));
        return highest;
    }

#ifdef DRIFTD_AVX2
    // The same in one pass over counts that add up to no more than 32 bits hold.
    template <typename Count>
    DRIFTD_AVX2 double look_by_eight(const Count *counts) {
        are_few_ = true;
        const float share = static_cast<float>(1.0 / rows_), theirs = static_cast<float>(1.0 / reference_->rows);
        const __m256 shares = _mm256_set1_ps(share), known = _mm256_set1_ps(theirs), sign = _mm256_set1_ps(-0.0F);
        const __m256i last_of_all = _mm256_set1_epi32(7);
        float highest = 0.0F, lanes[8];
        __m256i carried = _mm256_setzero_si256();
        std::int64_t first = 0;
        for (; first + BLOCK <= width_; first += BLOCK) {
            __m256 most = _mm256_setzero_ps();
            for (std::int64_t cell = first; cell < first + BLOCK; cell += 8) {
                __m256i each = eight(counts + cell);  // cumulated in each half first
                each = _mm256_add_epi32(each, _mm256_slli_si256(each, 4));
                each = _mm256_add_epi32(each, _mm256_slli_si256(each, 8));
                const __m256i lower = _mm256_shuffle_epi32(_mm256_permute2x128_si256(each, each, 0x08), 0xff);
                each = _mm256_add_epi32(_mm256_add_epi32(each, lower), carried);
                carried = _mm256_permutevar8x32_epi32(each, last_of_all);
                _mm256_storeu_si256(reinterpret_cast<__m256i *>(few() + cell), each);
                const __m256 upto = _mm256_cvtepi32_ps(
                    _mm256_loadu_si256(reinterpret_cast<const __m256i *>(reference_->upto + cell)));
                const __m256 apart =
                    _mm256_sub_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(each), shares), _mm256_mul_ps(upto, known));
                const __m256 found = _mm256_andnot_ps(sign, apart);
                _mm256_storeu_ps(near() + cell, found);
                most = _mm256_max_ps(most, found);
            }
            _mm256_storeu_ps(lanes, most);
            highest = std::max(highest, blocks_[first / BLOCK] = *std::max_element(lanes, lanes + 8));
        }
        if (first == width_) return highest;
        std::int32_t sum = _mm_cvtsi128_si32(_mm256_castsi256_si128(carried));
        float most = 0.0F;
        for (std::int64_t cell = first; cell < width_; ++cell) {
            few()[cell] = sum += static_cast<std::int32_t>(counts[cell]);
            near()[cell] = std::fabs(static_cast<float>(sum) * share - static_cast<float>(reference_->upto[cell]) * theirs);
            most = std::max(most, near()[cell]);
        }
        return std::max(highest, blocks_[first / BLOCK] = most);
    }
#endif

    // The rows up to each right edge.
    template <typename Count>
    void run(const Count *counts) const {
        double *const upto = running();
        std::int64_t sum = 0, cell = 0;
#ifdef __SSE2__
        if constexpr (sizeof(Count) <= 2) {  // four at a time; they add up to no more than 32 bits hold
            __m128i carried = _mm_setzero_si128();
            for (const std::int64_t whole = width_ <= FEWER ? width_ - 3 : 0; cell < whole; cell += 4) {
                __m128i each = four(counts + cell);
                each = _mm_add_epi32(each, _mm_slli_si128(each, 4));
                each = _mm_add_epi32(_mm_add_epi32(each, _mm_slli_si128(each, 8)), carried);
                carried = _mm_shuffle_epi32(each, 0xff);
                _mm_storeu_pd(upto + cell, _mm_cvtepi32_pd(each));
                _mm_storeu_pd(upto + cell + PAIR, _mm_cvtepi32_pd(_mm_unpackhi_epi64(each, each)));
            }
            sum = _mm_cvtsi128_si32(carried);
        }
#endif
        for (; cell < width_; ++cell) upto[cell] = static_cast<double>(sum += static_cast<std::int64_t>(counts[cell]));
    }

    double look(std::int64_t first, std::int64_t last) const {
        const double share = 1.0 / rows_, theirs = 1.0 / reference_->rows;
        Pair most = {}, upto, found;
        std::int64_t cell = first;
        for (; cell + PAIR <= last; cell += PAIR) {
            std::memcpy(&upto, running() + cell, sizeof upto);
            found = size_of(upto * share - pair_of(reference_->upto + cell) * theirs);
            most = larger_of(most, found);
            near()[cell] = static_cast<float>(found[0]);
            near()[cell + 1] = static_cast<float>(found[1]);
        }
        for (; cell < last; ++cell) {
            found[0] = std::fabs(running()[cell] * share - static_cast<double>(reference_->upto[cell]) * theirs);
            near()[cell] = static_cast<float>(found[0]);
            most[0] = std::max(most[0], found[0]);
        }
        return std::max(most[0], most[1]);
    }

    // The farthest edge; `place` is where it lies.
    double at_edges(double highest, std::int64_t *place) const {
        const double least = highest - NEAR * (1.0 + highest);
        double found = 0.0;
        for (std::int64_t first = 0; first < width_; first += BLOCK) {
            if (blocks_[first / BLOCK] < least) continue;
            for (std::int64_t cell = first; cell < last(first); ++cell) {
                if (near()[cell] < least) continue;
                const double each = std::fabs(apart(cell));
                if (each < found) continue;
                found = each;
                *place = cell;
            }
        }
        return found;
    }

    // The most of `farthest` and of how far the rows of a bin can be, its edges on both sides being so far.
    double with_bin(double farthest, std::int64_t cell) const {
        if (cell >= width_ || reference_->single[cell]) return farthest;
        const double either = cell > 0 ? std::max(apart(cell), -apart(cell - 1)) : apart(0);
        return std::max(farthest, either + reference_->share(cell));
    }

    // The same of all bins. Those beside the farthest edge come first: after them few others are looked at.
    double inside(double farthest, std::int64_t place) const {
        farthest = with_bin(with_bin(farthest, place), place + 1);
        const double least = farthest - reference_->most - NEAR * (1.0 + farthest);
        float before = 0.0F;  // how far the edge before the block is
        for (std::int64_t first = 0; first < width_; first += BLOCK) {
            if (std::max(blocks_[first / BLOCK], before) >= least)
                for (std::int64_t cell = first; cell < last(first); ++cell)
                    if (near()[cell] >= least || (cell > 0 && near()[cell - 1] >= least))
                        farthest = with_bin(farthest, cell);
            before = near()[last(first) - 1];
        }
        return farthest;
    }

    const std::unique_ptr<double[]> cells_;
    const std::unique_ptr<float[]> near_, blocks_;
    std::int64_t width_ = 0;
    bool are_few_ = false;
    double rows_ = 0.0;
    const Reference *reference_ = nullptr;
};

bool distances(PyObject *const *given) {
    const Counts counts = counts_of_windows(given[0]);
    const Ints starts(given[1], 1), widths(given[2], 1), rows(given[3], 2);
    const Array<std::int32_t> upto(given[4], 2);
    const Array<bool> single(given[5], 2);
    const Floats behind(given[6], 1), most(given[7], 1);
    const Floats values(given[8], 2, PyBUF_CONTIG), upper(given[9], 2, PyBUF_CONTIG);
    if (!counts.fits() || !starts.fits() || !widths.fits() || !rows.fits() || !upto.fits() || !single.fits() ||
        !behind.fits() || !most.fits() || !values.fits() || !upper.fits() || upto.length(1) != single.length(1) ||
        !same_length({starts.length(), widths.length(), rows.length(1), upto.length(), single.length(), behind.length(),
                      most.length(), values.length(1), upper.length(1)}) ||
        !same_length({counts.windows(), rows.length(), values.length(), upper.length()}) ||
        !runs_fit(starts, widths, counts.length(), upto.length(1)))
        return false;
    Distance distance(upto.length(1));
    if (!distance.ready()) return false;
    counts.with_each([&](Py_ssize_t window, const auto *cells) {
        for (Py_ssize_t row = 0; row < starts.length(); ++row) {
            const Py_ssize_t first = row * upto.length(1), place = window * starts.length() + row;
            const Reference reference{upto.data() + first, single.data() + first, behind[row], most[row]};
            const double known = static_cast<double>(std::max<std::int64_t>(rows[place], 1));
            distance.find(cells + starts[row], widths[row], known, reference, &values[place], &upper[place]);
        }
    });
    return true;
}

#ifdef DRIFTD_AVX2
// The first cells of a moment, four by four; how many they are.
template <typename Count>
DRIFTD_AVX2 std::int64_t moment_by_four(const Count *counts, std::int64_t width, const double *places, double *lanes) {
    const std::int64_t whole = width - width % 8;
    __m256d sum = _mm256_setzero_pd();
    for (std::int64_t cell = 0; cell < whole; cell += 8) {
        const __m256i each = eight(counts + cell);
        const __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(each)), high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(each, 1));
        sum = _mm256_add_pd(sum, _mm256_mul_pd(low, _mm256_loadu_pd(places + cell)));
        sum = _mm256_add_pd(sum, _mm256_mul_pd(high, _mm256_loadu_pd(places + cell + LANES)));
    }
    _mm256_storeu_pd(lanes, sum);
    return whole;
}
#endif

template <typename Count>
double moment(const Count *counts, std::int64_t width, const double *places) {
    double lanes[LANES] = {};
    const std::int64_t whole = width - width % LANES;
    std::int64_t cell = 0;
#ifdef __SSE2__
#ifdef DRIFTD_AVX2
    if constexpr (sizeof(Count) <= 2)
        if (wide) cell = moment_by_four(counts, width, places, lanes);
#endif
    if constexpr (sizeof(Count) <= 2) {
        __m128d low = _mm_loadu_pd(lanes), high = _mm_loadu_pd(lanes + PAIR);
        for (; cell < whole; cell += LANES) {
            const __m128i each = four(counts + cell);
            low = _mm_add_pd(low, _mm_mul_pd(_mm_cvtepi32_pd(each), _mm_loadu_pd(places + cell)));
            high = _mm_add_pd(high, _mm_mul_pd(_mm_cvtepi32_pd(_mm_unpackhi_epi64(each, each)), _mm_loadu_pd(places + cell + PAIR)));
        }
        _mm_storeu_pd(lanes, low);
        _mm_storeu_pd(lanes + PAIR, high);
    }
#endif
    for (; cell < whole; cell += LANES)
        for (std::int64_t lane = 0; lane < LANES; ++lane)
            lanes[lane] += static_cast<double>(counts[cell + lane]) * places[cell + lane];
    for (cell = whole; cell < width; ++cell) lanes[cell - whole] += static_cast<double>(counts[cell]) * places[cell];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + 0.0;
}

bool moments(PyObject *const *given) {
    const Ints counts(given[0], 1), starts(given[1], 1), widths(given[2], 1);
    const Floats places(given[3], 2), sums(given[4], 1, PyBUF_CONTIG);
    if (!counts.fits() || !starts.fits() || !widths.fits() || !places.fits() || !sums.fits() ||
        !same_length({starts.length(), widths.length(), places.length(), sums.length()}) ||
        !runs_fit(starts, widths, counts.length(), places.length(1)))
        return false;
    for (Py_ssize_t row = 0; row < starts.length(); ++row)
        sums[row] = moment(counts.data() + starts[row], widths[row], places.data() + row * places.length(1));
    return true;
}

// One feature's cells of window and reference, and how many rows each side has in them.
struct Table {
    const std::int64_t *window, *reference;
    std::int64_t cells;

    double rows(const std::int64_t *side) const {
        std::int64_t sum = 0;
        for (std::int64_t cell = 0; cell < cells; ++cell) sum += side[cell];
        return static_cast<double>(sum);
    }
    std::int64_t held() const {  // the cells that are not empty on both sides
        std::int64_t found = 0;
        for (std::int64_t cell = 0; cell < cells; ++cell) found += window[cell] + reference[cell] > 0;
        return found;
    }
};

double squares(const Table &table) {
    const double n = std::max(table.rows(table.window), 1.0), m = std::max(table.rows(table.reference), 1.0);
    double sum = 0.0;
    for (std::int64_t cell = 0; cell < table.cells; ++cell) {
        const double apart =
            static_cast<double>(table.window[cell]) / n - static_cast<double>(table.reference[cell]) / m;
        const std::int64_t both = table.window[cell] + table.reference[cell];
        sum += apart * apart / static_cast<double>(std::max<std::int64_t>(both, 1));
    }
    return sum * n * m;
}

void smoothed(const Table &table, double *ratio, double *apart, double *expected) {
    const double bins = std::max(static_cast<double>(table.held()), 1.0);
    const double n = table.rows(table.window), m = table.rows(table.reference);
    const double window_rows = n + bins * 0.5, reference_rows = m + bins * 0.5, some = std::max(n, 1.0);
    for (std::int64_t cell = 0; cell < table.cells; ++cell) {
        const bool held = table.window[cell] + table.reference[cell] > 0;
        const double p = (static_cast<double>(table.window[cell]) + 0.5) / window_rows;
        const double q = (static_cast<double>(table.reference[cell]) + 0.5) / reference_rows;
        ratio[cell] = held ? p / q : 1.0;
        apart[cell] = held ? p - q : 0.0;
    }
    *expected = (bins - 1.0) * (1.0 / some + 1.0 / std::max(m, 1.0)) * (1.0 + bins / (2.0 * some));
}

Table table_at(const Ints &window, const Ints &reference, const Ints &starts, Py_ssize_t row) {
    const std::int64_t first = starts[row], end = row + 1 < starts.length() ? starts[row + 1] : window.length();
    return {window.data() + first, reference.data() + first, end - first};
}

bool pearson(PyObject *const *given) {
    const Ints window(given[0], 1), reference(given[1], 1), starts(given[2], 1), dof(given[4], 1, PyBUF_CONTIG);
    const Floats sums(given[3], 1, PyBUF_CONTIG);
    if (!window.fits() || !reference.fits() || !starts.fits() || !sums.fits() || !dof.fits() ||
        !same_length({window.length(), reference.length()}) ||
        !same_length({starts.length(), sums.length(), dof.length()}) || !chained(starts, window.length()))
        return false;
    for (Py_ssize_t row = 0; row < starts.length(); ++row) {
        const Table table = table_at(window, reference, starts, row);
        dof[row] = std::max<std::int64_t>(table.held() - 1, 0);
        sums[row] = dof[row] > 0 ? squares(table) : 0.0;
    }
    return true;
}

bool shares(PyObject *const *given) {
    const Ints window(given[0], 2), reference(given[1], 1), starts(given[2], 1);
    const Floats ratios(given[3], 2, PyBUF_CONTIG), apart(given[4], 2, PyBUF_CONTIG), expected(given[5], 2, PyBUF_CONTIG);
    if (!window.fits() || !reference.fits() || !starts.fits() || !ratios.fits() || !apart.fits() || !expected.fits() ||
        !same_length({window.length(), ratios.length(), apart.length(), expected.length()}) ||
        !same_length({window.length(1), reference.length(), ratios.length(1), apart.length(1)}) ||
        !same_length({starts.length(), expected.length(1)}) || !chained(starts, reference.length()))
        return false;
    for (Py_ssize_t each = 0; each < window.length(); ++each) {
        const Py_ssize_t first = each * reference.length();
        for (Py_ssize_t row = 0; row < starts.length(); ++row) {
            const Py_ssize_t end = row + 1 < starts.length() ? starts[row + 1] : reference.length(), cell = first + starts[row];
            const Table table{window.data() + cell, reference.data() + starts[row], end - starts[row]};
            smoothed(table, ratios.data() + cell, apart.data() + cell, &expected[each * starts.length() + row]);
        }
    }
    return true;
}

// Each row of counts has its usable cells, then those of missing values: all that the others hold.
bool missing(PyObject *const *given) {
    const Counts counts = counts_of_windows(given[0]);
    const Ints bounds(given[1], 1), found(given[2], 2, PyBUF_CONTIG);
    if (!counts.fits() || !bounds.fits() || !found.fits() || !same_length({bounds.length(), 2 * found.length(1)}) ||
        !same_length({counts.windows(), found.length()}) || !chained(bounds, counts.length()))
        return false;
    counts.with_each([&](Py_ssize_t window, const auto *cells) {
        for (Py_ssize_t row = 0; row < found.length(1); ++row) {
            const std::int64_t end = row + 1 < found.length(1) ? bounds[2 * row + 2] : counts.length();
            std::int64_t sum = 0;
            for (std::int64_t cell = bounds[2 * row + 1]; cell < end; ++cell) sum += static_cast<std::int64_t>(cells[cell]);
            found[window * found.length(1) + row] = sum;
        }
    });
    return true;
}

// The most that a cell of these holds, of which there is one at least.
template <typename Count>
std::int64_t most_of(const Count *cell, const Count *end) {
    Count lanes[LANES] = {*cell, *cell, *cell, *cell};
    for (; cell + LANES <= end; cell += LANES)
        for (std::int64_t lane = 0; lane < LANES; ++lane) lanes[lane] = std::max(lanes[lane], cell[lane]);
    for (; cell < end; ++cell) lanes[0] = std::max(lanes[0], *cell);
    return static_cast<std::int64_t>(*std::max_element(lanes, lanes + LANES));
}

#ifdef __SSE2__
inline std::int64_t most_of(const std::uint8_t *cell, const std::uint8_t *end) {
    __m128i most = _mm_setzero_si128();
    for (; cell + 16 <= end; cell += 16) most = _mm_max_epu8(most, _mm_loadu_si128(reinterpret_cast<const __m128i *>(cell)));
    std::uint8_t lanes[16];
    _mm_storeu_si128(reinterpret_cast<__m128i *>(lanes), most);
    for (; cell < end; ++cell) lanes[0] = std::max(lanes[0], *cell);
    return *std::max_element(lanes, lanes + 16);
}
#endif

// The most that a usable cell of each row holds.
bool fullest(PyObject *const *given) {
    const Counts counts = counts_of_windows(given[0]);
    const Ints bounds(given[1], 1), found(given[2], 2, PyBUF_CONTIG);
    if (!counts.fits() || !bounds.fits() || !found.fits() || !same_length({bounds.length(), 2 * found.length(1)}) ||
        !same_length({counts.windows(), found.length()}) || !chained(bounds, counts.length()))
        return false;
    counts.with_each([&](Py_ssize_t window, const auto *cells) {
        for (Py_ssize_t row = 0; row < found.length(1); ++row)
            found[window * found.length(1) + row] = most_of(cells + bounds[2 * row], cells + bounds[2 * row + 1]);
    });
    return true;
}

// Counts of other sketches, packed or not, a row each, added to these or taken from them. Cells that lie together are added up by
// themselves first, in integers that hold what rows of so few bits come to.
constexpr Py_ssize_t TOGETHER = 64;  // cells

template <typename Sum, typename Count>
void added(const Count *parts, Py_ssize_t rows, Py_ssize_t cells, Py_ssize_t first, Py_ssize_t number, std::int64_t *to, bool less) {
    Sum sums[TOGETHER] = {};
    for (Py_ssize_t row = 0; row < rows; ++row) {
        const Count *const from = parts + row * cells + first;
        if (number == TOGETHER)
            for (Py_ssize_t cell = 0; cell < TOGETHER; ++cell) sums[cell] = static_cast<Sum>(sums[cell] + static_cast<Sum>(from[cell]));
        else
            for (Py_ssize_t cell = 0; cell < number; ++cell) sums[cell] = static_cast<Sum>(sums[cell] + static_cast<Sum>(from[cell]));
    }
    for (Py_ssize_t cell = 0; cell < number; ++cell)
        to[first + cell] += less ? -static_cast<std::int64_t>(sums[cell]) : static_cast<std::int64_t>(sums[cell]);
}

template <bool less>
bool move(PyObject *const *given) {
    constexpr Py_ssize_t FEW = 256;  // rows of 8 bits whose sums 16 bits hold
    const Ints counts(given[0], 1, PyBUF_CONTIG);
    const Counts parts = counts_of_windows(given[1]);
    if (!counts.fits() || !parts.fits(counts.length())) return false;
    const Py_ssize_t cells = counts.length();
    parts.with([&](const auto *from) {
        using Count = std::remove_const_t<std::remove_pointer_t<decltype(from)>>;
        using Small = std::conditional_t<sizeof(Count) == 1, std::uint16_t, std::int64_t>;
        for (Py_ssize_t first = 0; first < cells; first += TOGETHER) {
            const Py_ssize_t number = std::min(TOGETHER, cells - first);
            if (parts.windows() <= FEW) added<Small>(from, parts.windows(), cells, first, number, counts.data(), less);
            else added<std::int64_t>(from, parts.windows(), cells, first, number, counts.data(), less);
        }
    });
    return true;
}

// Counts written in fewer bits, all but the lowest of each left out; all bits that any of them has.
template <typename Wide, typename Count>
std::int64_t narrowed(const Wide *__restrict from, Py_ssize_t cells, Count *__restrict to) {
    Wide bits = 0;
    for (Py_ssize_t cell = 0; cell < cells; ++cell) {
        bits = static_cast<Wide>(bits | from[cell]);
        to[cell] = static_cast<Count>(from[cell]);
    }
    return static_cast<std::int64_t>(bits);
}

std::int64_t narrow(PyObject *const *given) {
    const Counts counts(given[0]), found(given[1], PyBUF_CONTIG);
    if (!counts.fits() || !found.fits(counts.length())) return -1;
    std::int64_t bits = 0;
    counts.with([&](const auto *from) { found.with([&](auto *to) { bits = narrowed(from, counts.length(), to); }); });
    return bits;
}

template <typename Count, typename Gone, typename Come>
std::int64_t slid_by(const Count *__restrict from, const Gone *__restrict less, const Come *__restrict more, Count *__restrict to,
                     Py_ssize_t cells) {
    constexpr std::size_t width = sizeof(Count) | sizeof(Gone) | sizeof(Come);  // what is between two of these fits in twice as much
    using Less = std::conditional_t<width == 1, std::int16_t, std::int32_t>;
    using Wide = std::conditional_t<width <= 3, Less, std::int64_t>;
    Wide bits = 0;
    for (Py_ssize_t cell = 0; cell < cells; ++cell) {
        const Wide each = static_cast<Wide>(static_cast<Wide>(from[cell]) - static_cast<Wide>(less[cell]) + static_cast<Wide>(more[cell]));
        bits = static_cast<Wide>(bits | each);
        to[cell] = static_cast<Count>(each);
    }
    return bits;
}

#ifdef __SSE2__
inline __m128i sixteen(const std::uint8_t *counts) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(counts)); }

// The same of counts of 8 bits, as most are: sixteen at a time. Where the sums would not fit they differ from those that stop at the ends.
inline std::int64_t slid_by(const std::uint8_t *from, const std::uint8_t *less, const std::uint8_t *more, std::uint8_t *to,
                            Py_ssize_t cells) {
    constexpr Py_ssize_t SIXTEEN = 16;
    __m128i bits = _mm_setzero_si128(), beyond = bits;
    Py_ssize_t cell = 0;
    for (; cell + SIXTEEN <= cells; cell += SIXTEEN) {
        const __m128i were = sixteen(from + cell), gone = sixteen(less + cell), come = sixteen(more + cell);
        const __m128i each = _mm_add_epi8(_mm_sub_epi8(were, gone), come);
        beyond = _mm_or_si128(beyond, _mm_xor_si128(each, _mm_adds_epu8(_mm_subs_epu8(were, gone), come)));
        bits = _mm_or_si128(bits, each);
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to + cell), each);
    }
    std::uint8_t found[2 * SIXTEEN], all = 0;
    _mm_storeu_si128(reinterpret_cast<__m128i *>(found), bits);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(found + SIXTEEN), beyond);
    if (std::any_of(found + SIXTEEN, found + 2 * SIXTEEN, [](std::uint8_t each) { return each != 0; }))
        return slid_by<std::uint8_t, std::uint8_t, std::uint8_t>(from, less, more, to, cells);
    for (std::uint8_t each : found) all = static_cast<std::uint8_t>(all | each);
    const std::int64_t rest =
        slid_by<std::uint8_t, std::uint8_t, std::uint8_t>(from + cell, less + cell, more + cell, to + cell, cells - cell);
    return rest < 0 ? rest : rest | all;
}
#endif

// Counts without those of one sketch and with those of another: those of the next window, in as many bits as they had before, and all bits that
// any of them has. Less than 0 where they do not fit.
std::int64_t slide(PyObject *const *given) {
    const Counts counts(given[0]), gone(given[1]), come(given[2]), found(given[3], PyBUF_CONTIG);
    if (!counts.fits() || !gone.fits(counts.length()) || !come.fits(counts.length()) || !found.fits(counts.length()) ||
        found.width() != counts.width())
        return -1;
    std::int64_t bits = 0;
    counts.with([&](const auto *from) {
        using Count = std::remove_const_t<std::remove_pointer_t<decltype(from)>>;
        gone.with([&](const auto *less) {
            come.with([&](const auto *more) { bits = slid_by(from, less, more, found.data<Count>(), counts.length()); });
        });
    });
    return bits;
}

template <typename Count>
std::int64_t sum_of(const Count *cell, const Count *end) {
    std::int64_t sum = 0;
    for (; cell < end; ++cell) sum += static_cast<std::int64_t>(*cell);
    return sum;
}

#ifdef __SSE2__
// Of sixteen bytes the last ones, from as many on.
constexpr std::uint8_t LEFT[32] = {0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline std::int64_t sum_of(const std::uint8_t *cell, const std::uint8_t *end) {
    const std::uint8_t *const begin = cell;
    const __m128i none = _mm_setzero_si128();
    __m128i both = none;
    for (; cell + 16 <= end; cell += 16) both = _mm_add_epi64(both, _mm_sad_epu8(sixteen(cell), none));
    if (cell < end && end - begin >= 16) {  // what is left, in a load that begins earlier, without what is counted already
        const __m128i left = _mm_loadu_si128(reinterpret_cast<const __m128i *>(LEFT + (end - cell)));
        both = _mm_add_epi64(both, _mm_sad_epu8(_mm_and_si128(sixteen(end - 16), left), none));
        cell = end;
    }
    both = _mm_add_epi64(both, _mm_unpackhi_epi64(both, both));
    std::int64_t sum;
    _mm_storel_epi64(reinterpret_cast<__m128i *>(&sum), both);
    for (; cell < end; ++cell) sum += static_cast<std::int64_t>(*cell);
    return sum;
}
#endif

// The runs that are chosen of those that begin here, each added up; the last goes to the end.
bool chosen_runs(PyObject *const *given) {
    const Counts counts = counts_of_windows(given[0]);
    const Ints starts(given[1], 1), chosen(given[2], 1), sums(given[3], 2, PyBUF_CONTIG);
    if (!counts.fits() || !starts.fits() || !chosen.fits() || !sums.fits() ||
        !same_length({chosen.length(), sums.length(1)}) || !same_length({counts.windows(), sums.length()}) ||
        !chained(starts, counts.length()))
        return false;
    for (Py_ssize_t at = 0; at < chosen.length(); ++at)
        if (chosen[at] < 0 || chosen[at] >= starts.length()) return false;
    counts.with_each([&](Py_ssize_t window, const auto *cells) {
        for (Py_ssize_t at = 0; at < chosen.length(); ++at) {
            const Py_ssize_t run = chosen[at];
            const std::int64_t end = run + 1 < starts.length() ? starts[run + 1] : counts.length();
            sums[window * chosen.length() + at] = sum_of(cells + starts[run], cells + end);
        }
    });
    return true;
}

bool shifts(PyObject *const *given) {
    const Counts counts = counts_of_windows(given[0]);
    const Ints starts(given[1], 1), widths(given[2], 1), rows(given[4], 2);
    const Floats places(given[3], 2), zero(given[5], 1), found(given[6], 2, PyBUF_CONTIG);
    if (!counts.fits() || !starts.fits() || !widths.fits() || !places.fits() || !rows.fits() || !zero.fits() ||
        !found.fits() || !same_length({counts.windows(), rows.length(), found.length()}) ||
        !same_length({starts.length(), widths.length(), places.length(), rows.length(1), zero.length(), found.length(1)}) ||
        !runs_fit(starts, widths, counts.length(), places.length(1)))
        return false;
    counts.with_each([&](Py_ssize_t window, const auto *cells) {
        for (Py_ssize_t row = 0; row < starts.length(); ++row) {
            const Py_ssize_t place = window * starts.length() + row;
            const double sum = moment(cells + starts[row], widths[row], places.data() + row * places.length(1));
            found[place] = rows[place] ? sum / static_cast<double>(std::max<std::int64_t>(rows[place], 1)) - zero[row]
                                       : std::numeric_limits<double>::quiet_NaN();
        }
    });
    return true;
}

// The past of columns in panes where they varied, one pane after the other; see Frozen in monitor/series/frozen.py.
bool fade(PyObject *const *given) {
    const Ints usable(given[0], 2), most(given[1], 2), seen(given[3], 1, PyBUF_CONTIG), varied(given[4], 1, PyBUF_CONTIG);
    const Array<bool> varies(given[2], 2);
    const Floats recent(given[5], 2, PyBUF_CONTIG), memory(given[6], 1);
    if (!usable.fits() || !most.fits() || !varies.fits() || !seen.fits() || !varied.fits() || !recent.fits() ||
        !memory.fits() || memory.length() != 2 || recent.length() != 2 ||
        !same_length({usable.length(), most.length(), varies.length()}) ||
        !same_length({usable.length(1), most.length(1), varies.length(1), seen.length(), varied.length(), recent.length(1)}))
        return false;
    const Py_ssize_t columns = seen.length();
    for (Py_ssize_t first = 0; first < usable.length() * columns; first += columns) {
        std::int64_t longest = 0;
        for (Py_ssize_t column = 0; column < columns; ++column) {
            const bool varies_here = varies[first + column];
            const std::int64_t all = usable[first + column], other = all - most[first + column];
            seen[column] += varies_here;
            varied[column] += varies_here;
            longest = std::max(longest, seen[column]);
            const double rows = varies_here ? static_cast<double>(all) : 0.0;
            const double kept = memory[0] / (memory[0] + rows);
            recent[column] = recent[column] * kept + rows;
            recent[columns + column] = recent[columns + column] * kept + (varies_here ? static_cast<double>(other) : 0.0);
        }
        if (static_cast<double>(longest) >= memory[1])
            for (Py_ssize_t column = 0; column < columns; ++column)
                if (static_cast<double>(seen[column]) >= memory[1]) {
                    seen[column] /= 2;
                    varied[column] /= 2;
                }
    }
    return true;
}

// The places of the rows that are meant, or none: then it is all of them.
struct Chosen {
    const Array<std::int64_t> places;
    const bool all;

    explicit Chosen(PyObject *object) : places(object, 1), all(object == Py_None) {}
    bool fits(Py_ssize_t rows) const {
        if (all) return true;
        if (!places.fits()) return false;
        for (Py_ssize_t at = 0; at < places.length(); ++at)
            if (places[at] < 0 || places[at] >= rows) return false;
        return true;
    }
};

// Rows of numbers or codes, in any order in memory; of them some.
template <typename Number>
struct Rows {
    const View view;
    const Chosen &chosen;

    Rows(PyObject *object, const char *letters, const Chosen &chosen)
        : view(object, PyBUF_STRIDED_RO | PyBUF_FORMAT), chosen(chosen), fits(view.holds(letters, sizeof(Number), 2)) {}
    Py_ssize_t there() const { return view.buffer.shape[0]; }
    Py_ssize_t rows() const { return chosen.all ? there() : chosen.places.length(); }
    Py_ssize_t columns() const { return view.buffer.shape[1]; }
    Number one(Py_ssize_t row, Py_ssize_t column) const {
        const Py_ssize_t *steps = view.buffer.strides;
        const Py_ssize_t place = chosen.all ? row : static_cast<Py_ssize_t>(chosen.places[row]);
        return at<Number>(static_cast<const char *>(view.buffer.buf) + place * steps[0] + column * steps[1]);
    }
    const bool fits;
};

// Whether a column holds one value alone in more rows: those that are not known say nothing. NaN: there was none before.
template <typename Number, typename Known>
bool alone(const Rows<Number> &table, Py_ssize_t column, double *value, Known known) {
    for (Py_ssize_t row = 0; row < table.rows(); ++row) {
        const Number each = table.one(row, column);
        if (!known(each)) continue;
        const double found = static_cast<double>(each);
        if (std::isnan(*value)) *value = found;
        else if (*value != found) return false;
    }
    return true;
}

bool unvaried(PyObject *const *given) {
    const Chosen chosen(given[6]);
    const Rows<double> numeric(given[0], "d", chosen);
    const Rows<std::int32_t> codes(given[1], "il", chosen);
    const Ints columns(given[2], 1), unseen(given[3], 1);
    const Floats values(given[4], 1, PyBUF_CONTIG);
    const Array<bool> kept(given[5], 1, PyBUF_CONTIG);
    if (!numeric.fits || !codes.fits || !columns.fits() || !unseen.fits() || !values.fits() || !kept.fits() ||
        !same_length({columns.length(), values.length(), kept.length()}) || numeric.there() != codes.there() ||
        codes.columns() != unseen.length() || !chosen.fits(numeric.there()))
        return false;
    const Py_ssize_t numbers = numeric.columns();
    for (Py_ssize_t place = 0; place < columns.length(); ++place)
        if (columns[place] < 0 || columns[place] >= numbers + codes.columns()) return false;
    for (Py_ssize_t place = 0; place < columns.length(); ++place) {
        if (columns[place] < numbers) {
            kept[place] = alone(numeric, columns[place], &values[place], [](double each) { return std::isfinite(each); });
            continue;
        }
        const Py_ssize_t column = columns[place] - numbers;
        const std::int64_t other = unseen[column];
        bool several = false;  // of a category that is not known nobody can say whether it is one
        for (Py_ssize_t row = 0; row < codes.rows() && !several; ++row) several = codes.one(row, column) == other;
        kept[place] = !several && alone(codes, column, &values[place], [other](std::int32_t each) { return each < other; });
    }
    return true;
}

// The largest of what was found near and of these scores over their thresholds, where they are known; NaN is nothing.
bool nearest(PyObject *const *given) {
    const Floats values(given[0], 2), bounds(given[2], 1), near(given[4], 2, PyBUF_CONTIG);
    const Array<bool> known(given[1], 2);
    const Ints places(given[3], 1);
    if (!values.fits() || !known.fits() || !bounds.fits() || !places.fits() || !near.fits() ||
        !same_length({values.length(), known.length(), near.length()}) ||
        !same_length({values.length(1), known.length(1), bounds.length(), places.length()}))
        return false;
    for (Py_ssize_t at = 0; at < places.length(); ++at)
        if (places[at] < 0 || places[at] >= near.length(1)) return false;
    for (Py_ssize_t window = 0; window < values.length(); ++window)
        for (Py_ssize_t at = 0; at < places.length(); ++at) {
            double &held = near[window * near.length(1) + places[at]];
            const Py_ssize_t place = window * places.length() + at;
            const double found = values[place] / bounds[at];
            if (known[place] && !std::isnan(found) && (std::isnan(held) || found > held)) held = found;
        }
    return true;
}

// How many rows have each of the smallest hashes: as many as there are, or as are kept.
PyObject *distinct(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 3) return PyErr_Format(PyExc_TypeError, "3 arrays are needed, not %zd", number);
    const Array<std::uint64_t> rows(arguments[0], 1), kept(arguments[1], 1, PyBUF_CONTIG);
    const Ints counts(arguments[2], 1, PyBUF_CONTIG);
    if (!rows.fits() || !kept.fits() || !counts.fits() || kept.length() != counts.length()) return PyLong_FromLong(-1);
    Py_ssize_t found = 0;
    for (Py_ssize_t row = 0; row < rows.length(); ++row) {
        if (row > 0 && rows[row] == rows[row - 1]) {
            ++counts[found - 1];
            continue;
        }
        if (found == kept.length()) break;
        kept[found] = rows[row];
        counts[found++] = 1;
    }
    return PyLong_FromSsize_t(found);
}

// The hashes that are not 0 and no larger than a bound, and how many rows are not 0.
std::int64_t within(PyObject *const *given) {
    const Array<std::uint64_t> hashes(given[0], 1), bound(given[1], 1), kept(given[2], 1, PyBUF_CONTIG);
    const Ints rows(given[3], 1, PyBUF_CONTIG);
    if (!hashes.fits() || !bound.fits() || !kept.fits() || !rows.fits() || bound.length() != 1 || rows.length() != 1 ||
        hashes.length() != kept.length())
        return -1;
    const std::uint64_t most = bound[0];
    std::int64_t found = 0, some = 0;
    for (Py_ssize_t row = 0; row < hashes.length(); ++row) {
        const std::uint64_t hash = hashes[row];
        kept[found] = hash;
        found += hash - 1 < most;  // less one, 0 is the largest
        some += hash != 0;
    }
    rows[0] = some;
    return found;
}

// Two samples of ids to one, each rising, with the rows of each id: as many as there is room for.
PyObject *joined(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 6) return PyErr_Format(PyExc_TypeError, "6 arrays are needed, not %zd", number);
    const Array<std::uint64_t> ids(arguments[0], 1), others(arguments[2], 1), kept(arguments[4], 1, PyBUF_CONTIG);
    const Ints rows(arguments[1], 1), more(arguments[3], 1), counts(arguments[5], 1, PyBUF_CONTIG);
    if (!ids.fits() || !others.fits() || !kept.fits() || !rows.fits() || !more.fits() || !counts.fits() ||
        ids.length() != rows.length() || others.length() != more.length() || kept.length() != counts.length())
        return PyLong_FromLong(-1);
    Py_ssize_t one = 0, other = 0, found = 0;
    while (found < kept.length() && (one < ids.length() || other < others.length())) {
        const bool ours = other == others.length() || (one < ids.length() && ids[one] <= others[other]);
        const bool theirs = one == ids.length() || (other < others.length() && others[other] <= ids[one]);
        kept[found] = ours ? ids[one] : others[other];
        counts[found++] = static_cast<std::int64_t>((ours ? static_cast<std::uint64_t>(rows[one]) : 0) +
                                                    (theirs ? static_cast<std::uint64_t>(more[other]) : 0));
        one += ours;
        other += theirs;
    }
    return PyLong_FromSsize_t(found);
}

// by_eight(on): whether counts of few bits are taken eight at a time from now on, which not every machine can.
PyObject *by_eight(PyObject *, PyObject *on) {
    const int asked = PyObject_IsTrue(on);
    if (asked < 0) return nullptr;
#ifdef DRIFTD_AVX2
    wide = asked > 0 && CAN_BE_WIDE;
    return PyBool_FromLong(wide);
#else
    return PyBool_FromLong(0);
#endif
}

// A function of so many arrays that says a number.
template <std::int64_t (*work)(PyObject *const *), Py_ssize_t arrays>
PyObject *told(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != arrays) return PyErr_Format(PyExc_TypeError, "%zd arrays are needed, not %zd", arrays, number);
    return PyLong_FromLongLong(work(arguments));
}

// A function of so many arrays as one of Python's: True where it was done, False where they do not fit.
template <bool (*work)(PyObject *const *), Py_ssize_t arrays>
PyObject *called(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != arrays) return PyErr_Format(PyExc_TypeError, "%zd arrays are needed, not %zd", arrays, number);
    return PyBool_FromLong(work(arguments));
}

template <bool (*work)(PyObject *const *), Py_ssize_t arrays>
PyCFunction method() {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(called<work, arrays>));
}

PyMethodDef methods[] = {
    {"by_eight", by_eight, METH_O, "by_eight(on): let counts of few bits be taken eight at a time, or four, for tests; whether they are."},
    {"distances", method<distances, 10>(), METH_FASTCALL,
     "distances(counts, starts, widths, rows, upto, single, behind, most, values, upper): fill the last two."},
    {"fade", method<fade, 7>(), METH_FASTCALL,
     "fade(usable, most, varies, seen, varied, recent, memory): change the three before the last."},
    {"add", method<move<false>, 2>(), METH_FASTCALL, "add(counts, part): change the first."},
    {"fullest", method<fullest, 3>(), METH_FASTCALL, "fullest(counts, bounds, most): fill the last."},
    {"missing", method<missing, 3>(), METH_FASTCALL, "missing(counts, bounds, missing): fill the last."},
    {"nearest", method<nearest, 5>(), METH_FASTCALL, "nearest(values, known, bounds, places, near): raise the last."},
    {"moments", method<moments, 5>(), METH_FASTCALL, "moments(counts, starts, widths, places, sums): fill the last."},
    {"pearson", method<pearson, 5>(), METH_FASTCALL, "pearson(window, reference, starts, sums, dof): fill the last two."},
    {"runs", method<chosen_runs, 4>(), METH_FASTCALL, "runs(counts, starts, chosen, sums): fill the last."},
    {"slide", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(told<slide, 4>)), METH_FASTCALL,
     "slide(counts, gone, come, found): fill the last; all bits that any of these has, less than 0 where they do not fit."},
    {"subtract", method<move<true>, 2>(), METH_FASTCALL, "subtract(counts, part): change the first."},
    {"shifts", method<shifts, 7>(), METH_FASTCALL,
     "shifts(counts, starts, widths, places, rows, zero, shifts): fill the last."},
    {"unvaried", method<unvaried, 7>(), METH_FASTCALL,
     "unvaried(numeric, codes, columns, unseen, values, kept, places): change the values, fill what is kept."},
    {"narrow", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(told<narrow, 2>)), METH_FASTCALL,
     "narrow(counts, found): fill the last; all bits that any of them has, less than 0 where they do not fit."},
    {"distinct", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(distinct)), METH_FASTCALL,
     "distinct(rising, kept, counts): fill the last two; how many there are, -1 where they do not fit."},
    {"within", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(told<within, 4>)), METH_FASTCALL,
     "within(hashes, bound, kept, rows): fill the last two; how many are kept, -1 where they do not fit."},
    {"joined", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(joined)), METH_FASTCALL,
     "joined(ids, rows, others, more, kept, counts): fill the last two; how many there are, -1 where they do not fit."},
    {"shares", method<shares, 6>(), METH_FASTCALL,
     "shares(window, reference, starts, ratios, apart, expected): fill the last three."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_sums", "Sums over the cells of a window.", 0, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__sums() { return PyModuleDef_Init(&module_definition); }
