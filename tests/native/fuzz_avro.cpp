// Throws drawn schemas and damaged data at the Avro reader, under the compiler's sanitizers: fuzz_avro SEED COUNT.
//
// Each message lies in an allocation of its own size, so that a byte read too far ends the run. What a message is worth is tested
// elsewhere (tests/monitor/sources/formats/avro/test_agreement.py); here it is that none can do harm, by whatever schema it is read.
#include "../../monitor/sources/formats/avro/_reader.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>

using namespace driftd;
using avro::Described;
using avro::Type;

namespace {

using Random = std::mt19937_64;

const char* const NAMES[] = {"ts", "model", "version", "features", "prediction", "id", "age", "income", "plan", "city", "other"};
constexpr size_t EACH = 50;  // messages a schema

void add(Shape& shape, Node& node, const std::string& key, Kind kind, int slot) {
  node.index.add(key, static_cast<int32_t>(node.entries.size()));
  node.entries.push_back({key, kind, slot, shape.ids++, nullptr});
}

void describe(avro::WrittenShape& shape, bool required) {
  add(shape, shape.root, "ts", Kind::timestamp, 0);
  add(shape, shape.root, "model", Kind::model, 0);
  add(shape, shape.root, "version", Kind::version, 0);
  add(shape, shape.root, "features", Kind::node, 0);
  add(shape, shape.root, "prediction", Kind::number, 2);
  add(shape, shape.root, "id", Kind::wide_id, 0);
  shape.identities = 2;
  auto features = std::make_unique<Node>();
  features->required = required;
  add(shape, *features, "age", Kind::number, 0);
  add(shape, *features, "income", Kind::number, 1);
  add(shape, *features, "plan", Kind::category, 0);
  add(shape, *features, "city", Kind::category, 1);
  shape.root.entries[3].node = std::move(features);
  shape.categories.resize(2);
  for (Categories& each : shape.categories) {
    each.codes.add("pro", 0), each.codes.add("Z\xc3\xbcrich", 1), each.codes.add("2", 2);
    each.unseen = 3;
  }
  shape.numbers = 3;
  shape.required = required;
  shape.envelope = true;
  shape.expect();
}

// A type of what there is, which may hold any that was drawn before it, and now and then itself.
uint32_t draw(Random& random, std::vector<Described>& types, int depth, const string_view name = "") {
  const auto at = static_cast<uint32_t>(types.size());
  types.emplace_back();
  Described told;
  told.type = static_cast<Type>(depth == 0 ? static_cast<uint64_t>(Type::record) : random() % 14);
  if (depth == 1 && random() % 16 != 0) {  // mostly an event
    if (name == "ts") told.type = Type::whole;
    if (name == "model" || name == "version") told.type = Type::text;
    if (name == "features") told.type = random() % 4 ? Type::record : Type::map;
  }
  if (depth > 4 && told.type >= Type::array && told.type != Type::constant) told.type = Type::number;
  told.meaning = static_cast<avro::Meaning>(random() % 3 ? 0 : random() % 6);
  if (name == "ts") told.meaning = avro::Meaning::millis;
  told.size = static_cast<int64_t>(random() % 12);
  told.scale = static_cast<int>(random() % 25);
  told.said = static_cast<avro::Said>(random() % 6);
  told.whole = static_cast<int64_t>(random());
  told.real = static_cast<double>(static_cast<int64_t>(random())) / 1e9;
  const auto below = [&](const string_view name = "") { return depth > 0 && random() % 24 == 0 ? at : draw(random, types, depth + 1, name); };
  switch (told.type) {
    case Type::record:
      for (const char* name : NAMES)
        if (random() % (depth == 0 ? 16 : 3) != 0) told.names.emplace_back(name), told.below.push_back(below(name));
      break;
    case Type::choice:
      for (uint64_t left = random() % 4; left > 0; --left) told.below.push_back(draw(random, types, depth + 1));
      break;
    case Type::array:
    case Type::map: told.below.push_back(below()); break;
    case Type::symbol:
      for (uint64_t left = random() % 4; left > 0; --left) told.names.emplace_back(left % 2 ? "pro" : "free");
      break;
    case Type::constant: told.names.emplace_back("pro"); break;
    default: break;
  }
  // A union of its own branches has no name to be told by: no schema has one.
  if (told.type == Type::choice)
    for (uint32_t& branch : told.below)
      if (types[branch].type == Type::choice) types[branch].type = Type::null, types[branch].below.clear();
  types[at] = std::move(told);
  return at;
}

void whole(std::string& raw, int64_t value) {
  uint64_t zigzag = static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  for (; zigzag >= 0x80; zigzag >>= 7) raw += static_cast<char>(zigzag | 0x80);
  raw += static_cast<char>(zigzag);
}

const std::string TEXTS[] = {"", "pro", "churn", "3", "Z\xc3\xbcrich", "2026-11-23T12:00:00Z", std::string(70, 'x'), "\xff"};
const int64_t WHOLES[] = {0, 1, -1, 63, 64, 1'795'435'200'000, INT64_MAX, INT64_MIN};

// A datum of a type; `left` are the values that it may still have.
void write(Random& random, const std::vector<Described>& types, uint32_t type, std::string& raw, int& left, int depth = 0) {
  const Described& told = types[type];
  if (--left < 0) return;
  const auto bytes = [&](size_t size) {
    for (; size > 0; --size) raw += static_cast<char>(random());
  };
  switch (told.type) {
    case Type::flag: raw += static_cast<char>(random() % 2); break;
    case Type::whole: whole(raw, told.meaning == avro::Meaning::millis && random() % 8 ? WHOLES[5] : WHOLES[random() % 8]); break;
    case Type::single: bytes(4); break;
    case Type::number: bytes(8); break;
    case Type::bytes: {
      const auto size = random() % 12;
      whole(raw, static_cast<int64_t>(size));
      bytes(size);
      break;
    }
    case Type::text: {
      const std::string& text = TEXTS[random() % 8];
      whole(raw, static_cast<int64_t>(text.size()));
      raw += text;
      break;
    }
    case Type::fixed: bytes(static_cast<size_t>(told.size)); break;
    case Type::symbol: whole(raw, static_cast<int64_t>(random() % 4)); break;
    case Type::choice: {
      const auto branch = random() % (told.below.size() + (random() % 16 == 0) + told.below.empty());
      whole(raw, static_cast<int64_t>(branch));
      if (branch < told.below.size() && depth < 40) write(random, types, told.below[branch], raw, left, depth + 1);
      break;
    }
    case Type::array:
    case Type::map: {
      const auto items = depth < 8 ? random() % 3 : 0;
      if (items > 0) whole(raw, random() % 4 ? static_cast<int64_t>(items) : -static_cast<int64_t>(items));
      if (items > 0 && random() % 8 == 0) whole(raw, 7);
      for (uint64_t more = items; more > 0; --more) {
        if (told.type == Type::map) {
          const std::string name = NAMES[random() % 11];
          whole(raw, static_cast<int64_t>(name.size()));
          raw += name;
        }
        write(random, types, told.below[0], raw, left, depth + 1);
      }
      raw += '\0';
      break;
    }
    case Type::record:
      for (const uint32_t below : told.below)
        if (depth < 40) write(random, types, below, raw, left, depth + 1);
      break;
    default: break;
  }
}

void damage(Random& random, std::string& raw) {
  for (uint64_t left = random() % 3; left > 0; --left) {
    const size_t at = random() % (raw.size() + 1);
    switch (random() % 4) {
      case 0: raw.resize(at); break;
      case 1: raw.insert(at, std::string(random() % 12, static_cast<char>(random() % 2 ? 0xFF : random()))); break;
      case 2: if (at < raw.size()) raw[at] = static_cast<char>(random()); break;
      default: raw.insert(at, TEXTS[random() % 8]);
    }
  }
}

}  // namespace

int main(int, char** arguments) {
  Random random(std::strtoull(arguments[1], nullptr, 10));
  const long count = std::strtol(arguments[2], nullptr, 10);
  long read = 0, refused = 0;
  for (long at = 0; at < count;) {
    avro::WrittenShape shape;
    describe(shape, random() % 2);
    shape.begin = random() % 2 ? 5 : 0;
    draw(random, shape.types, 0);
    if (!shape.bind()) continue;
    double numbers[3];
    int32_t codes[2];
    uint64_t ids[2];
    avro::Reader reader(shape, {numbers, codes, ids, 1}, 1'000'000, INT64_MAX);
    for (size_t left = EACH; left > 0; --left, ++at) {
      std::string raw(shape.begin, '\0');
      int most = 200;
      write(random, shape.types, 0, raw, most);
      damage(random, raw);
      const std::unique_ptr<char[]> message(new char[raw.size()]);
      std::memcpy(message.get(), raw.data(), raw.size());
      if (!reader.read(message.get(), message.get() + raw.size(), 0)) {
        if (reader.verdict() > ODD || reader.verdict() < avro::INVALID_UTF8) return std::fprintf(stderr, "verdict %d\n", reader.verdict()), 1;
        refused += reader.verdict() < ODD;
        continue;
      }
      ++read;
      for (const int32_t code : codes)
        if (code < 0 || code > 4) return std::fprintf(stderr, "code %d\n", code), 1;
    }
  }
  std::printf("%ld of %ld read, %ld refused\n", read, count, refused);
  return read > count / 1000 && refused > count / 100 ? 0 : 1;  // few drawn schemas ask for what is read
}
