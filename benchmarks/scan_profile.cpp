// The scan of one kind of traffic and nothing else, for benchmarks/scan_profile.py: scan_profile FILE ROUNDS.
//
// FILE holds a message a line, with 20 features: numbers, or where some are texts ten of each. What is said is the least time of all
// rounds, for other programs on the machine can only lengthen it; and a sum of what was read, so that nothing is left out.
#include "_reader.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

using namespace driftd;

namespace {

constexpr int FEATURES = 20;

void add(Shape& shape, Node& node, const std::string& key, Kind kind, int slot) {
  node.index.add(key, static_cast<int32_t>(node.entries.size()));
  node.entries.push_back({key, kind, slot, shape.ids++, nullptr});
}

// What monitor/sources/formats/json/scanning.py makes of benchmarks/traffic.py.
void describe(Shape& shape, int categorical) {
  add(shape, shape.root, "ts", Kind::timestamp, 0);
  add(shape, shape.root, "model", Kind::model, 0);
  add(shape, shape.root, "version", Kind::version, 0);
  add(shape, shape.root, "id", Kind::id, 0);
  add(shape, shape.root, "features", Kind::node, 0);
  auto features = std::make_unique<Node>();
  features->required = true;
  for (int at = 0; at < FEATURES; ++at) {
    const std::string name = std::string("feature_") + (at < 10 ? "0" : "") + std::to_string(at);
    if (at < FEATURES - categorical) add(shape, *features, name, Kind::number, at);
    else add(shape, *features, name, Kind::category, at - FEATURES + categorical);
  }
  shape.root.entries[4].node = std::move(features);
  shape.categories.resize(static_cast<size_t>(categorical));
  for (Categories& each : shape.categories) {
    for (int at = 0; at < 10; ++at) each.codes.add("category-" + std::to_string(at), at);
    each.unseen = 10;
  }
  shape.numbers = static_cast<size_t>(FEATURES - categorical);
  shape.required = 1;
  shape.envelope = true;
  shape.expect();
}

}  // namespace

int main(int, char** arguments) {
  std::ifstream file(arguments[1]);
  const int rounds = std::atoi(arguments[2]);
  std::vector<std::string> messages;
  for (std::string line; std::getline(file, line);) messages.push_back(line);
  Shape shape;
  describe(shape, messages.at(0).find("category-") == std::string::npos ? 0 : FEATURES / 2);
  const auto rows = static_cast<ptrdiff_t>(messages.size());
  std::vector<double> numbers(shape.numbers * messages.size());
  std::vector<int32_t> codes(shape.categories.size() * messages.size());
  std::vector<uint64_t> ids(messages.size());
  const Columns columns{numbers.data(), codes.data(), ids.data(), rows};
  const Routes routes;
  double least = INFINITE;
  long read = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto began = std::chrono::steady_clock::now();
    Reader reader(shape, columns, 1'000'000, INT64_MAX);
    read = 0;
    for (ptrdiff_t row = 0; row < rows; ++row)
      read += reader.read(messages[row].data(), messages[row].data() + messages[row].size(), row);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
    least = std::min(least, took.count() / static_cast<double>(rows));
  }
  double sum = 0;
  for (const double each : numbers) sum += std::isnan(each) ? 0 : each;
  for (const int32_t each : codes) sum += each;
  std::printf("%ld of %td read, %.1f ns each, sum %.17g\n", read, rows, least, sum);
  return read == rows ? 0 : 1;
}
