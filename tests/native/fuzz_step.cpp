// Steps of the charts of any size over any numbers and flags, under the compiler's sanitizers: fuzz_step SEED COUNT.
//
// Each array lies in an allocation of its own size, so that what is read or written too far ends the run. That the answers are
// numpy's is tested elsewhere (tests/detectors/charts/test_step.py).
#include "../../detectors/charts/_steps.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

using namespace driftd;

namespace {

using Random = std::mt19937_64;

const double ODD[] = {0.0, -0.0, 1.0, 5e-324, 1e308, -1e308, std::numeric_limits<double>::infinity(),
                      -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};

double number(Random &random, bool usual) {
    if (usual) return static_cast<double>(random() % 4000) / 7.0;
    if (random() % 4 == 0) return ODD[random() % (sizeof ODD / sizeof *ODD)];
    const std::uint64_t bits = random();  // any double at all
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

struct Drawn {
    Random &random;
    bool usual;  // numbers as they are counted, none of them odd

    std::unique_ptr<double[]> numbers(std::size_t size) {
        auto found = std::make_unique<double[]>(size);
        std::generate(found.get(), found.get() + size, [&] { return number(random, usual); });
        return found;
    }
    std::unique_ptr<Flag[]> flags(std::size_t size) {
        auto found = std::make_unique<Flag[]>(size);
        std::generate(found.get(), found.get() + size, [&] { return static_cast<Flag>(random() % 8 ? random() % 2 : random()); });
        return found;
    }
    std::unique_ptr<std::int64_t[]> times(std::size_t size) {
        auto found = std::make_unique<std::int64_t[]>(size);
        std::generate(found.get(), found.get() + size,
                      [&] { return random() % 2 ? NEVER : static_cast<std::int64_t>(random()); });
        return found;
    }
};

void check(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

bool plain(const Flag *flags, std::size_t size) {
    return std::all_of(flags, flags + size, [](Flag each) { return each <= 1; });
}

void rates(Random &random) {
    Drawn drawn{random, random() % 2 == 0};
    const std::size_t size = random() % 40;
    std::unique_ptr<double[]> by_rate[9];
    for (auto &each : by_rate) each = drawn.numbers(size);
    const auto costs = drawn.numbers(ODDS * size), odds = drawn.numbers(ODDS), sums = drawn.numbers(ODDS * size);
    const auto excess = drawn.numbers(size), found = drawn.numbers(4 * size);
    const auto firing = drawn.flags(size), warm = drawn.flags(size), certain = drawn.flags(size);
    const auto risen = drawn.times(ODDS * size);
    const Limits limit{random() % 2 ? 1.0 : -1.0, number(random, drawn.usual), number(random, drawn.usual),
                       number(random, drawn.usual), number(random, drawn.usual)};
    const auto &[events, rows, tolerated, usual, loud, dispersion, less, remembered, enough] = by_rate;
    if (drawn.usual) std::for_each(dispersion.get(), dispersion.get() + size, [](double &each) { each += 1.0; });
    follow({static_cast<std::ptrdiff_t>(size), events.get(), rows.get(), tolerated.get(), usual.get(), loud.get(), costs.get(),
            odds.get(), dispersion.get(), less.get(), remembered.get(), enough.get(), limit, firing.get(), sums.get(),
            risen.get(), excess.get(), warm.get(), found.get(), certain.get(), static_cast<std::int64_t>(random())});
    check(plain(certain.get(), size), "a flag that is neither");
    for (std::size_t at = 0; at < size; ++at) {
        if (!drawn.usual) continue;
        check(found[at] >= 0 && !std::isnan(found[size + at]), "no place to stand");
        check(excess[at] >= 0 && sums[at] >= 0, "a sum below zero");
    }
}

void charts(Random &random) {
    Drawn drawn{random, random() % 2 == 0};
    const Shape shape{static_cast<std::ptrdiff_t>(random() % 7), static_cast<std::ptrdiff_t>(random() % 40)};
    const std::size_t all = shape.charts * shape.features;
    const auto increments = drawn.numbers(all), values = drawn.numbers(all);
    const auto most = drawn.numbers(shape.charts), limits = drawn.numbers(shape.charts);
    const auto certain = drawn.flags(all), firing = drawn.flags(all), armed = drawn.flags(all), open = drawn.flags(all);
    const auto quiet = drawn.flags(shape.features);
    const auto began = drawn.times(shape.features), risen = drawn.times(all), judged = drawn.times(shape.charts + 2);
    advance(shape, increments.get(), values.get(), most.get(), limits.get(), certain.get(), firing.get(), began.get(), risen.get());
    for (std::size_t at = 0; at < all; ++at) check(values[at] > 0 || risen[at] == NEVER, "a sum at zero that has risen");
    warn(shape, increments.get(), values.get(), limits.get(), quiet.get(), armed.get(), open.get(), judged.get());
    check(plain(armed.get(), all) && plain(open.get(), all), "a flag that is neither");
    for (std::ptrdiff_t chart = 0; chart < shape.charts; ++chart)
        check(judged[chart] >= 0 && judged[chart] <= shape.features, "more features than there are");
    for (std::ptrdiff_t at = shape.charts; at < shape.charts + 2; ++at)
        check(judged[at] >= 0 && judged[at] <= static_cast<std::int64_t>(all), "more warnings than charts");
}

}  // namespace

int main(int, char **arguments) {
    Random random(std::strtoull(arguments[1], nullptr, 10));
    for (long left = std::strtol(arguments[2], nullptr, 10); left > 0; --left) {
        rates(random);
        charts(random);
    }
    std::puts("done");
}
