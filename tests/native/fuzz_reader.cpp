// Throws damaged messages at the reader, and at what says why one is refused, under the compiler's sanitizers: fuzz_reader SEED COUNT.
//
// Each message lies in an allocation of its own size, so that a byte read too far ends the run. What a message is worth is tested
// elsewhere (tests/properties/test_decode.py); here it is that none can do harm, and that all of it is the same where bytes are
// looked at one by one (built with -DDRIFTD_SCALAR): a digest of all that was read is printed.
#include "../../monitor/sources/formats/json/_refusing.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>

using namespace driftd;

namespace {

using Random = std::mt19937_64;

const std::string FEATURES[] = {
    R"("age": 41.5)", R"("income": -2.25e3)", R"("plan": "pro")", R"("city": "Z\u00fcrich")", R"("income_of_all_who_live_in_the_house": 1.5)",
    R"("income_of_all_who_live_in_the_street": 2.5)", R"("plan_of_last_year": "pro")", R"("incomes": [-1, 2.5, {"age": 1}])",
    R"("a name that nobody asked for": "and a text that is longer than a window of bytes, and then some")"};

std::string digits_of(Random& random, size_t most) {
  std::string text;
  for (size_t left = random() % most + 1; left > 0; --left) {
    const uint64_t drawn = random();  // one draw a line: the order within is the compiler's
    text += static_cast<char>('0' + (drawn % 4 ? drawn / 4 % 10 : 0));
  }
  return text;
}

// A number as people, programs and neither of them write it.
std::string number_of(Random& random) {
  std::string text = random() % 2 ? "-" : "";
  text += random() % 3 ? std::to_string(random() % 12) : digits_of(random, random() % 8 ? 9 : 33);
  if (random() % 4) text += "." + digits_of(random, random() % 8 ? 19 : 33);
  if (random() % 8 != 0) return text;
  text += random() % 2 ? "e-" : "E";
  text += digits_of(random, 3);
  return text;
}

// Mostly in one order, the last key of all near the end or far from it.
std::string message_of(Random& random) {
  std::vector<std::string> features;
  for (const std::string& feature : FEATURES) {
    if (random() % 16 == 0) continue;
    const bool numeric = feature.compare(0, 4, R"("age)") == 0 || feature.compare(0, 7, R"("income)") == 0;
    features.push_back(numeric ? feature.substr(0, feature.find(':') + 1) + number_of(random) : feature);
  }
  if (random() % 8 == 0) std::shuffle(features.begin(), features.end(), random);
  const char* space = random() % 2 ? " " : "";
  std::string text = R"({"id":"r-)" + std::to_string(random() % 100) + R"(",)";
  text += space + std::string(R"("ts":)") + space + "1763870700" + std::to_string(100 + random() % 900);
  text += R"(,"model":"churn","version": "3", "features": {)";
  for (const std::string& feature : features) text += feature + (&feature == &features.back() ? "" : random() % 2 ? ", " : ",");
  text += R"(}, "prediction":)" + number_of(random);
  if (random() % 2) text += R"(, "more": [1, {"a": null}], "text": ")" + std::string(random() % 70, 'x') + '"';
  return text + "}";
}

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
  add(shape, *features, "income_of_all_who_live_in_the_house", Kind::number, 3);
  shape.root.entries[3].node = std::move(features);
  shape.categories.resize(2);
  for (Categories& each : shape.categories) {
    each.codes.add("pro", 0), each.codes.add("Z\xc3\xbcrich", 1), each.codes.add("2", 2), each.codes.add("2.0", 2);
    each.unseen = 3;
  }
  shape.numbers = 4;
  shape.required = 1;
  shape.envelope = true;
  shape.expect();
}

void ask(Refusing& refusing) {
  refusing.root.at("ts").role = of_time;
  refusing.root.at("model").role = of_model;
  refusing.root.at("version").role = of_version;
  refusing.root.at("features").role = of_all_features;
  refusing.root.at("features").at("age").role = of_version;  // below another one
  refusing.featureless = false;
}

std::string damaged(Random& random) {
  std::string text = message_of(random);
  for (int left = static_cast<int>(random() % 3 ? random() % 2 : random() % 5); left > 0; --left) {
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
  double numbers[4];
  int32_t codes[2];
  uint64_t ids[2];
  const Columns columns{numbers, codes, ids, 1};
  Reader reader(shape, columns, 1'000'000, INT64_MAX);
  Refusing refusing;
  ask(refusing);
  Routes routes;
  routes.names.add("churn", 0);
  routes.models.emplace_back();
  routes.models[0].otherwise = 0;
  Refuser refuser(refusing, routes, 1'000'000, 1'790'000'000'000'000'000);
  Reader bounded(shape, columns, 1'000'000, 1'790'000'000'000'000'000);
  long read = 0, refused = 0;
  uint64_t digest = 0;
  const auto tell = [&digest](const void* bytes, size_t size) {
    digest = (digest ^ hash_id({static_cast<const char*>(bytes), size})) * 0xD6E8FEB86659FD93u;
    digest ^= digest >> 29;
  };
  for (long at = 0; at < count; ++at) {
    const std::string text = damaged(random);
    const std::unique_ptr<char[]> message(new char[text.size() + 1]);
    std::memcpy(message.get(), text.c_str(), text.size() + 1);
    const bool is_read = reader.read(message.get(), message.get() + text.size(), 0);
    const int32_t why = refuser.judge(message.get(), message.get() + text.size());
    refused += why != ODD;
    tell(&is_read, sizeof is_read), tell(&why, sizeof why);
    if (why < ODD && bounded.read(message.get(), message.get() + text.size(), 0) && why != VERSION_INVALID)
      return std::fprintf(stderr, "%d of what is read, %s\n", why, text.c_str()), 1;
    if (!is_read) continue;
    ++read;
    const int64_t time = reader.time();
    int64_t lacking[counted * reasons] = {};
    reader.count(lacking);
    tell(numbers, sizeof numbers), tell(codes, sizeof codes), tell(ids, sizeof ids), tell(&time, sizeof time);
    tell(lacking, sizeof lacking);
    for (const int32_t code : codes)
      if (code < 0 || code > 4) return std::fprintf(stderr, "code %d of %s\n", code, text.c_str()), 1;
  }
  std::printf("%ld of %ld read, %ld refused, digest %016llx\n", read, count, refused, static_cast<unsigned long long>(digest));
  return read > 0 && read < count && refused > 0 ? 0 : 1;
}
