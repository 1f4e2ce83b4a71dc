// What is done with a block of one column's values, a pass each. Nothing here knows of Python.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace driftd {

constexpr std::size_t LANES = 8;  // numpy's sums side by side, and ours of extremes
constexpr std::size_t PIECE = 128;  // values that numpy sums in one piece
constexpr double LARGEST = std::numeric_limits<double>::max();  // counts as infinite

// numpy's pairwise sum of contiguous doubles, in its order of additions: the sum is the same to the last bit.
inline double pairwise(const double *values, std::size_t size) {
    if (size < LANES) {
        double sum = 0.0;
        for (std::size_t at = 0; at < size; ++at) sum += values[at];
        return sum;
    }
    if (size > PIECE) {
        std::size_t half = size / 2;
        half -= half % LANES;
        return pairwise(values, half) + pairwise(values + half, size - half);
    }
    double sums[LANES];
    std::copy(values, values + LANES, sums);
    const std::size_t whole = size - size % LANES;
    for (std::size_t at = LANES; at < whole; at += LANES)
        for (std::size_t lane = 0; lane < LANES; ++lane) sums[lane] += values[at + lane];
    double sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    for (std::size_t at = whole; at < size; ++at) sum += values[at];
    return sum;
}

struct Extremes {
    double least = std::numeric_limits<double>::infinity();
    double most = -std::numeric_limits<double>::infinity();
};

inline Extremes extremes_of(const double *values, std::size_t size) {
    double least[LANES], most[LANES];
    std::fill(least, least + LANES, std::numeric_limits<double>::infinity());
    std::fill(most, most + LANES, -std::numeric_limits<double>::infinity());
    std::size_t at = 0;
    for (; at + LANES <= size; at += LANES)
        for (std::size_t lane = 0; lane < LANES; ++lane) {
            least[lane] = values[at + lane] < least[lane] ? values[at + lane] : least[lane];
            most[lane] = values[at + lane] > most[lane] ? values[at + lane] : most[lane];
        }
    for (; at < size; ++at) {
        least[0] = std::min(least[0], values[at]);
        most[0] = std::max(most[0], values[at]);
    }
    return {*std::min_element(least, least + LANES), *std::max_element(most, most + LANES)};
}

struct Moments {
    double mean = 0.0, std = 0.0;
    Extremes extremes;
};

// Of at least one finite value. `room` has space for as many. Scaled by a power of two, so that nothing over- or underflows.
inline Moments moments_of(const double *values, std::size_t size, double *room) {
    Moments found;
    found.extremes = extremes_of(values, size);
    const double largest = std::max(std::fabs(found.extremes.least), std::fabs(found.extremes.most));
    if (largest == 0.0) return found;
    int exponent = 0;
    std::frexp(largest, &exponent);
    const double scale = std::ldexp(1.0, exponent - 1), first = values[0] / scale;
    for (std::size_t at = 0; at < size; ++at) room[at] = values[at] / scale - first;
    const auto count = static_cast<double>(size);
    const double middle = pairwise(room, size) / count;
    for (std::size_t at = 0; at < size; ++at) {
        const double apart = room[at] - middle;
        room[at] = apart * apart;
    }
    const double spread = std::sqrt(pairwise(room, size) / count);
    found.mean = std::min((first + middle) * scale, LARGEST);
    found.std = std::min(spread * scale, LARGEST);
    return found;
}

// The values of a block that are not known, each once. No NaN among them, and one zero only.
class Unknown {
  public:
    static constexpr std::size_t MOST = 512;  // values known and found together

    Unknown() { std::fill(held_, held_ + SLOTS, EMPTY); }

    // Whether a value is new; it is known from then on. Not to be asked after MOST of them.
    bool take(double value) {
        std::uint64_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        std::size_t slot = static_cast<std::size_t>((bits * 0x9E3779B97F4A7C15U) >> (64 - LOG_SLOTS));
        while (held_[slot] != EMPTY) {
            if (held_[slot] == bits) return false;
            slot = (slot + 1) % SLOTS;
        }
        held_[slot] = bits;
        return true;
    }

  private:
    static constexpr int LOG_SLOTS = 11;
    static constexpr std::size_t SLOTS = std::size_t{1} << LOG_SLOTS;
    static constexpr std::uint64_t EMPTY = ~std::uint64_t{0};  // a NaN
    std::uint64_t held_[SLOTS];
};

// Copies finite values to `held` from `size` on until it is full; one zero instead of two. Returns how many values were
// looked at; `size` is then the end of what is held.
template <typename Read>
std::size_t fill(std::size_t rows, Read read, double *held, std::size_t room, std::size_t &size) {
    std::size_t row = 0;
    for (; row < rows && size < room; ++row) {
        const double value = read(row) + 0.0;
        held[size] = value;
        size += std::fabs(value) < LARGEST;
    }
    return row;
}

// Where draw × rank is below `sample`: those that a reservoir of that size takes. Returns how many; `kept` has space for all.
inline std::size_t kept_of(const double *draws, std::size_t size, double rank, double sample, std::int64_t *kept) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < size; ++at) {
        kept[count] = static_cast<std::int64_t>(at);
        count += draws[at] * (rank + static_cast<double>(at)) < sample;
    }
    return count;
}

}  // namespace driftd
