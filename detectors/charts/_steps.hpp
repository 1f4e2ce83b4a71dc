// One step of the charts, element by element. detectors/charts/rate_charts.py and charts.py say the same in numpy, operation by
// operation; products are not fused into sums (-ffp-contract=off in hatch_build.py). Knows nothing of Python.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace driftd {

constexpr std::int64_t NEVER = std::numeric_limits<std::int64_t>::min();
constexpr std::ptrdiff_t ODDS = 3;  // that the sums of a rate look for

using Flag = unsigned char;  // numpy's bool: of a state that another program wrote it may be any byte

// As numpy takes the larger and the smaller of two.
inline double larger(double one, double other) { return one >= other || std::isnan(one) ? one : other; }
inline double smaller(double one, double other) { return one <= other || std::isnan(one) ? one : other; }

// What one direction of rates is held to, and what decides: see `RateSide.follow`.
struct Limits {
    double way, most, small, effect, deviate;
};

// So many rates: read, changed, and filled. What is by odds is [ODDS, size], `found` is [4, size].
struct Side {
    std::ptrdiff_t size;
    const double *events, *rows, *tolerated, *usual, *loud, *costs, *odds, *dispersion, *less, *remembered, *enough;
    Limits limit;
    const Flag *firing;
    double *sums;
    std::int64_t *risen;
    double *excess;
    Flag *warm;
    double *found;
    Flag *certain;
    std::int64_t start;
};

// Add one subgroup to the sums of one rate.
inline void add(const Side &side, std::ptrdiff_t at) {
    const Limits &limit = side.limit;
    double *const standing = side.found, *const gained = side.found + side.size;
    double most = 0.0, highest = 0.0;
    for (std::ptrdiff_t odd = 0; odd < ODDS; ++odd) {
        const std::ptrdiff_t place = odd * side.size + at;
        const double ratio =
            (side.events[at] * side.odds[odd] - side.rows[at] * side.costs[place]) / side.dispersion[at];
        const double sum = larger(side.sums[place] + smaller(ratio, limit.most), 0.0);
        std::int64_t &risen = side.risen[place];
        side.sums[place] = sum;
        risen = sum > 0 ? (risen == NEVER ? side.start : risen) : NEVER;
        most = odd ? larger(most, ratio) : ratio;
        highest = odd ? larger(highest, sum) : sum;
    }
    gained[at] = most;
    const double beyond =
        larger(side.excess[at] + limit.way * (side.events[at] - side.rows[at] * side.loud[at]), 0.0);
    side.excess[at] = smaller(beyond, side.remembered[at]);
    const double stands = larger(highest - side.less[at], 0.0);
    const bool firing = side.firing[at] != 0, heard = side.excess[at] >= side.enough[at] || firing;
    standing[at] = heard ? stands : smaller(stands, limit.small);
    side.warm[at] = firing || side.excess[at] > 0 || highest > 0;
}

// Change `sums`, `risen`, `excess` and `warm`, fill `found` and `certain`.
inline void follow(const Side &side) {
    const std::ptrdiff_t size = side.size;
    double *const standing = side.found, *const gained = standing + size, *const z = gained + size, *const effects = z + size;
    std::ptrdiff_t first = 0, last = size;
    if (side.limit.way > 0) {  // a rate without events whose sums are at 0 leaves them there
        while (first < size && !(side.events[first] > 0 || side.warm[first])) ++first;
        while (last > first && !(side.events[last - 1] > 0 || side.warm[last - 1])) --last;
    }
    for (std::ptrdiff_t at = 0; at < size; ++at) {
        const double events = side.events[at], rows = side.rows[at], tolerated = side.tolerated[at];
        const double due = rows * tolerated;
        z[at] = side.limit.way * (events - due) / std::sqrt(larger(due * (1 - tolerated), 1.0) * side.dispersion[at]);
        effects[at] = side.limit.way * (events / larger(rows, 1.0) - side.usual[at]);
        side.certain[at] = effects[at] >= side.limit.effect && z[at] >= side.limit.deviate;
        standing[at] = 0.0;
        gained[at] = (0.0 - rows * side.costs[at]) / side.dispersion[at];  // never -0.0, as `add` says of no rows
    }
    for (std::ptrdiff_t at = first; at < last; ++at) add(side, at);
}

// Charts [charts, features].
struct Shape {
    std::ptrdiff_t charts, features;
};

// Charts take one subgroup's increments, NaN where they stand still: change `values` and `risen`; whether any newly fires.
inline bool advance(Shape shape, const double *increments, double *values, const double *most, const double *limits,
                    const Flag *certain, const Flag *firing, const std::int64_t *began, std::int64_t *risen) {
    bool newly = false;
    for (std::ptrdiff_t chart = 0; chart < shape.charts; ++chart)
        for (std::ptrdiff_t feature = 0; feature < shape.features; ++feature) {
            const std::ptrdiff_t at = chart * shape.features + feature;
            if (!std::isnan(increments[at])) values[at] = larger(values[at] + smaller(increments[at], most[chart]), 0.0);
            if (!(values[at] > 0)) risen[at] = NEVER;
            else if (risen[at] == NEVER) risen[at] = began[feature];
            newly |= (values[at] >= limits[chart] || certain[at]) && !firing[at];
        }
    return newly;
}

// See `Charts._warnings`: change `armed` and `open`. Fills judged[charts + 2]: how many features each chart judged, then how many
// warnings went and how many came.
inline void warn(Shape shape, const double *increments, const double *values, const double *limits, const Flag *quiet,
                 Flag *armed, Flag *open, std::int64_t *judged) {
    std::int64_t went = 0, came = 0;
    for (std::ptrdiff_t chart = 0; chart < shape.charts; ++chart) {
        const double half = limits[chart] / 2;
        std::int64_t looked = 0;
        for (std::ptrdiff_t feature = 0; feature < shape.features; ++feature) {
            const std::ptrdiff_t at = chart * shape.features + feature;
            const bool above = values[at] >= half, none = values[at] == 0, still = quiet[feature] != 0;
            const bool passed = above && armed[at] && still;
            const bool warns = (open[at] || passed) && still;
            open[at] = warns && !none;
            armed[at] = (armed[at] && !above) || none;
            came += passed;
            went += warns && none;
            looked += !std::isnan(increments[at]) && still;
        }
        judged[chart] = looked;
    }
    judged[shape.charts] = went;
    judged[shape.charts + 1] = came;
}

}  // namespace driftd
