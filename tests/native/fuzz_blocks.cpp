// Blocks of values and of lines, of any content and length, under the compiler's sanitizers: fuzz_blocks SEED COUNT.
//
// Each lies in an allocation of its own size, so that what is read or written too far ends the run. That the answers are right is
// tested elsewhere (tests/detectors/sketches/test_blocks.py, tests/monitor/sources/test_lines.py).
#include "../../detectors/sketches/_blocks.hpp"
#include "../../monitor/sources/_weaving.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

using namespace driftd;

namespace {

using Random = std::mt19937_64;

const double ODD[] = {0.0, -0.0, LARGEST, -LARGEST, 5e-324, std::numeric_limits<double>::infinity(),
                      -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};

double value_of(Random &random) {
    if (random() % 4 == 0) return ODD[random() % (sizeof ODD / sizeof *ODD)];
    const std::uint64_t bits = random();  // any double at all
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

void digest(Random &random) {
    const std::size_t rows = random() % 700, room = 1 + random() % 300;
    const auto values = std::make_unique<double[]>(rows);
    std::generate(values.get(), values.get() + rows, [&] { return value_of(random); });
    const auto held = std::make_unique<double[]>(room), spare = std::make_unique<double[]>(room);
    const auto places = std::make_unique<std::int64_t[]>(room);
    for (std::size_t start = 0; start < rows;) {
        std::size_t size = 0;
        start += fill(rows - start, [&](std::size_t row) { return values[start + row]; }, held.get(), room, size);
        if (size == 0) continue;
        const Moments found = moments_of(held.get(), size, spare.get());
        if (!(found.extremes.least <= found.extremes.most) || !(found.std >= 0.0)) std::abort();
        if (kept_of(held.get(), size, 1.0, value_of(random), places.get()) > size) std::abort();
        Unknown table;
        for (std::size_t at = 0; at < size; ++at) table.take(held[at]);
        for (std::size_t at = 0; at < size; ++at)
            if (table.take(held[at])) std::abort();
    }
}

void split(Random &random) {
    const char letters[] = "\n\n\r \t\0{}a";
    const std::size_t size = random() % 400;
    const auto block = std::make_unique<char[]>(size);
    std::generate(block.get(), block.get() + size, [&] { return letters[random() % (sizeof letters - 1)]; });
    std::vector<Value> lines;
    const char *const rest = split_lines(block.get(), block.get() + size, lines);
    const char *before = block.get();
    for (const Value &line : lines) {
        if (line.data < before || line.data + line.size >= rest || line.data[line.size] != '\0') std::abort();
        before = line.data + line.size + 1;
    }
}

// Messages of many events: all of them lie within, in their order.
void cut(Random &random) {
    const char *const words[] = {"{\"f\":{}}", "{\"f\":{\"a\":1}}", ",", "[", "]", "{", "}", "\"", "\\", "\n", " ", "x", "\xC3\xB6", "\xC3", "\"f\":{", "                                "};
    std::string drawn = random() % 2 == 0 ? "[" : "";
    for (std::size_t left = random() % 30; left > 0; --left) {
        drawn += words[random() % (random() % 4 == 0 ? sizeof words / sizeof *words : 3)];
        if (random() % 2 == 0) drawn += ",";
    }
    if (!drawn.empty() && drawn.back() == ',') drawn.pop_back();
    if (random() % 2 == 0) drawn += "]";
    if (drawn.empty()) return;
    const auto held = std::make_unique<char[]>(drawn.size());
    std::memcpy(held.get(), drawn.data(), drawn.size());
    const Value message{held.get(), drawn.size(), false};
    std::vector<Value> events;
    ArrayCutter cutter(random() % 2 == 0 ? "\"f\"" : "");
    const bool read = random() % 2 == 0 ? cutter.cut(message, events) : cut_lines(message, 10, events);
    if (read == events.empty()) std::abort();
    const char *before = held.get();
    for (const Value &event : events) {
        if (event.data < before || event.data + event.size > held.get() + drawn.size()) std::abort();
        before = event.data + event.size;
    }
}

// Lists, and what is woven of them: values lie within, and events are as long as they are said to be.
void weave(Random &random) {
    const char *const words[] = {"1", "[", "]", ",", "\"a\"", "{}", " ", "\"", "\\", "{", "}", "                                ", "[1,2]", "[3,\"]\"]"};
    std::string drawn = "[";
    for (std::size_t left = random() % 20; left > 0; --left)
        drawn += random() % 8 == 0 ? words[random() % (sizeof words / sizeof *words)] : random() % 2 == 0 ? "[1,2]," : "5,";
    if (drawn.back() == ',') drawn.pop_back();
    if (random() % 8 != 0) drawn += "]";
    const auto held = std::make_unique<char[]>(drawn.size());
    std::memcpy(held.get(), drawn.data(), drawn.size());
    std::vector<Value> values;
    if (!Lister(random() % 3).list({held.get(), drawn.size(), false}, values)) return;
    for (const Value &value : values)
        if (value.size == 0 || value.data <= held.get() || value.data + value.size >= held.get() + drawn.size()) std::abort();
    std::string woven;
    std::vector<Value> events;
    const std::vector<Thread> threads = {{values.data(), values.size(), random() % 4, random() % 4, random() % 2 == 0}};
    const std::size_t rows = random() % 8, most = random() % 80;
    if (!driftd::weave({"{\"a\":", "}"}, threads, rows, most, woven, events)) return;
    if (events.size() != rows || woven.size() > most + rows) std::abort();
    for (const Value &event : events)
        if (event.data[0] != '{' || event.data[event.size - 1] != '}' || event.data[event.size] != '\0') std::abort();
}

// Members of what may be an object lie within it, behind their keys.
void members(Random &random) {
    static const char *const PIECES[] = {"{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", " ", "1", "\"a\":[1,2]", "\"b\":{\"c\":\"}\"}", "null", "\xff"};
    std::string drawn = random() % 8 == 0 ? "" : "{";
    for (auto left = random() % 40; left > 0; --left) drawn += PIECES[random() % (sizeof PIECES / sizeof *PIECES)];
    if (random() % 2) drawn += "}";
    const auto held = std::make_unique<char[]>(drawn.size());
    std::memcpy(held.get(), drawn.data(), drawn.size());
    const char *const end = held.get() + drawn.size();
    std::vector<Member> found;
    if (!members_of(held.get(), end, found)) return;
    for (const Member &each : found)
        if (each.value.size == 0 || each.key.data() <= held.get() || each.value.data <= each.key.data() || each.value.data + each.value.size >= end) std::abort();
}

}  // namespace

int main(int, char **arguments) {
    Random random(std::strtoull(arguments[1], nullptr, 10));
    for (long left = std::strtol(arguments[2], nullptr, 10); left > 0; --left) {
        digest(random);
        split(random);
        cut(random);
        weave(random);
        members(random);
    }
    std::puts("done");
}
