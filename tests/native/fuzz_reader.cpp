// Throws damaged messages at the reader, under the compiler's sanitizers: fuzz_reader SEED COUNT.
//
// Each message lies in an allocation of its own size, so that a byte read too far ends the run. What a message is worth
// is tested elsewhere (tests/properties/test_decode.py); here it is only that none can do harm.
#include "../../monitor/sources/formats/json/_reader.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>

using namespace driftd;

namespace {

using Random = std::mt19937_64;

const std::string MESSAGE =
    R"({"id": "r-1", "ts": 1763870700000, "model": "churn", "version": "3", "features": )"
    R"({"age": 41.5, "income": -2.25e3, "plan": "pro", "city": "Z\u00fcrich"}, "prediction": 0.83, "more": [1, {"a": null}]})";

const std::string PIECES[] = {
    R"(\u00e9)", R"(\ud83d\ude00)", R"(\ud800)", R"(\u12)", "\\", "\"", "{", "}", "[", "]", ":", ",", "-", "+", ".", "e", "0",
    "1e999", "1e-999", "NaN", "Infinity", "-Infinity", "null", "true", "nul", "99999999999999999999", "0.12345678901234567890123",
    R"("2026-11-23T12:00:00.123456789+01:00")", R"("2026-02-30T00:00:00Z")", R"("2026-11-23T12:00:00)", R"("plan":2.50,)",
    R"("plan":1e-7,)", R"("ts":1763870700000.25,)", R"("features":{},)", R"("ts":9223372036854775807,)", "\x01", "\n",
    "\xc3\xbc", "\xed\xa0\x80", "\xf0\x9f\xa6\x86", "\xff", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "]]]]]]]]]]]]]]]]", std::string(1, '\0')};

void add(Shape& shape, Node& node, const std::string& key, Kind kind, int slot) {
  node.index.add(key, static_cast<int32_t>(node.entries.size()));
  node.entries.push_back({key, kind, slot, shape.ids++, nullptr});
}

void describe(Shape& shape) {
  add(shape, shape.root, "ts", Kind::timestamp, 0);
  add(shape, shape.root, "model", Kind::model, 0);
  add(shape, shape.root, "version", Kind::version, 0);
  add(shape, shape.root, "features", Kind::node, 0);
  add(shape, shape.root, "prediction", Kind::number, 2);
  add(shape, shape.root, "id", Kind::wide_id, 0);
  shape.identities = 2;
  auto features = std::make_unique<Node>();
  features->required = true;
  add(shape, *features, "age", Kind::number, 0);
  add(shape, *features, "income", Kind::number, 1);
  add(shape, *features, "plan", Kind::category, 0);
  add(shape, *features, "city", Kind::category, 1);
  shape.root.entries[3].node = std::move(features);
  shape.categories.resize(2);
  for (Categories& each : shape.categories) {
    each.codes.add("pro", 0), each.codes.add("Z\xc3\xbcrich", 1), each.codes.add("2", 2), each.codes.add("2.0", 2);
    each.unseen = 3;
  }
  shape.numbers = 3;
  shape.required = 1;
  shape.envelope = true;
  shape.expect();
}

std::string damaged(Random& random) {
  std::string text = MESSAGE;
  for (int left = static_cast<int>(random() % 5); left > 0; --left) {
    const size_t at = random() % (text.size() + 1);
    const std::string& piece = PIECES[random() % (sizeof PIECES / sizeof *PIECES)];
    switch (random() % 4) {
      case 0: text.insert(at, piece); break;
      case 1: text.replace(at, piece.size(), piece); break;
      case 2: text.resize(at); break;
      default: text.insert(std::min(text.size(), text.find_first_of(",:{", at)), piece);
    }
  }
  return text;
}

}  // namespace

int main(int, char** arguments) {
  Random random(std::strtoull(arguments[1], nullptr, 10));
  const long count = std::strtol(arguments[2], nullptr, 10);
  Shape shape;
  describe(shape);
  double numbers[3];
  int32_t codes[2];
  uint64_t ids[2];
  const Columns columns{numbers, codes, ids, 1};
  Reader reader(shape, columns, 1'000'000, INT64_MAX);
  long read = 0;
  for (long at = 0; at < count; ++at) {
    const std::string text = damaged(random);
    const std::unique_ptr<char[]> message(new char[text.size() + 1]);
    std::memcpy(message.get(), text.c_str(), text.size() + 1);
    if (!reader.read(message.get(), message.get() + text.size(), 0)) continue;
    ++read;
    for (const int32_t code : codes)
      if (code < 0 || code > 4) return std::fprintf(stderr, "code %d of %s\n", code, text.c_str()), 1;
  }
  std::printf("%ld of %ld read\n", read, count);
  return read > 0 && read < count ? 0 : 1;
}
