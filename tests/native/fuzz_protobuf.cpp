// Throws damaged messages at the Protobuf reader, under the compiler's sanitizers: fuzz_protobuf SEED COUNT.
//
// Each message lies in an allocation of its own size, so that a byte read too far ends the run. What a message is worth is tested
// elsewhere (tests/properties/test_protobuf.py); here it is that none can do harm.
#include "../../monitor/sources/formats/protobuf/_wire.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

using namespace driftd::protobuf;

namespace {

using Random = std::mt19937_64;

constexpr Type SCALARS[] = {double_type, float_type, int64_type, uint64_type, int32_type, fixed64_type, fixed32_type, bool_type,
                            string_type, bytes_type, uint32_type, enum_type, sfixed32_type, sfixed64_type, sint32_type, sint64_type};

Family family_of(Type type) {
  if (type == double_type || type == float_type) return floats;
  if (type == string_type) return texts;
  if (type == bytes_type) return byte_texts;
  return type == uint64_type || type == fixed64_type || type == uint32_type || type == fixed32_type ? unsigned_numbers : signed_numbers;
}

// A root with all scalars, lists of them, an oneof, maps, itself, and a message that holds itself.
Plan planned() {
  Plan plan;
  plan.nodes.resize(4);  // the root, a message in it, a message looked at, an entry looked at
  for (Node& node : plan.nodes) node.stands = &node < &plan.nodes[2];
  plan.nodes[1].parent = 0;
  plan.nodes[0].children = {1};
  plan.nodes[3].is_entry = true;
  const auto slot = [&plan](int32_t node, Type type, bool hashed) {
    Default otherwise;
    otherwise.there = type != bool_type;
    plan.nodes[static_cast<size_t>(node)].slots.push_back(static_cast<int32_t>(plan.slots.size()));
    plan.slots.push_back({node, family_of(type), hashed, otherwise});
    return static_cast<int32_t>(plan.slots.size() - 1);
  };
  uint32_t number = 1;
  for (const Type type : SCALARS) {
    const auto wire = static_cast<Wire>(wire_of(type));
    const bool hashed = type == string_type || type == int64_type;
    plan.nodes[0].fields.push_back({number++, type, wire, false, slot(0, type, hashed), NOWHERE, NOWHERE, number % 3 ? NOWHERE : 0, false});
    plan.nodes[0].fields.push_back({number++, type, wire, true, NOWHERE, NOWHERE, NOWHERE, NOWHERE, false});
    plan.nodes[1].fields.push_back({number, type, wire, false, slot(1, type, false), NOWHERE, NOWHERE, NOWHERE, false});
    plan.nodes[2].fields.push_back({number, type, wire, false, NOWHERE, NOWHERE, NOWHERE, NOWHERE, false});
    plan.maps.push_back({static_cast<int32_t>(number % 2), number % 4 ? string_type : int64_type, type, family_of(type), {}});
    plan.nodes[number % 2].maps.push_back(static_cast<int32_t>(plan.maps.size() - 1));
    plan.nodes[number % 2].fields.push_back({100 + number, message_type, bytes_wire, true, NOWHERE, NOWHERE, static_cast<int32_t>(plan.maps.size() - 1), NOWHERE, false});
  }
  plan.nodes[0].fields.push_back({90, message_type, bytes_wire, false, NOWHERE, 1, NOWHERE, 0, false});
  plan.nodes[0].fields.push_back({91, message_type, bytes_wire, true, NOWHERE, 2, NOWHERE, NOWHERE, false});
  plan.nodes[0].fields.push_back({92, group_type, group_wire, false, NOWHERE, NOWHERE, NOWHERE, NOWHERE, false});
  plan.nodes[0].fields.push_back({5000, message_type, bytes_wire, true, NOWHERE, 3, NOWHERE, NOWHERE, false});
  plan.nodes[2].fields.push_back({90, message_type, bytes_wire, false, NOWHERE, 2, NOWHERE, NOWHERE, false});
  plan.nodes[3].fields.push_back({1, string_type, bytes_wire, false, NOWHERE, NOWHERE, NOWHERE, NOWHERE, false});
  plan.nodes[3].fields.push_back({2, message_type, bytes_wire, false, NOWHERE, 2, NOWHERE, NOWHERE, false});
  for (Node& node : plan.nodes) node.index(plan.slots);
  return plan;
}

void add_varint(std::string& text, uint64_t value) {
  for (; value >= 0x80; value >>= 7) text += static_cast<char>(value | 0x80);
  text += static_cast<char>(value);
}

uint64_t drawn_number(Random& random) { return random() >> random() % 64; }

std::string message_of(const Plan& plan, const Node& node, Random& random, int depth);

void add_value(const Plan& plan, const Field& field, Random& random, int depth, std::string& text) {
  const bool packed = field.repeated && packs(field.wire) && random() % 2;
  add_varint(text, field.number << 3 | (packed ? bytes_wire : field.wire));
  std::string value;
  const auto add = [&] {
    if (field.wire == varint_wire) return add_varint(value, drawn_number(random));
    for (int left = field.wire == fixed64_wire ? 8 : 4; left > 0; --left) value += static_cast<char>(random());
  };
  if (packed) {
    for (size_t left = random() % 4; left > 0; --left) add();
  } else if (field.wire != bytes_wire && field.wire != group_wire) {
    add();
    text += value;
    return;
  } else if (field.wire == group_wire) {
    add_varint(text, field.number << 3 | group_end_wire);
    return;
  } else if (field.map != NOWHERE) {
    const MapSlot& map = plan.maps[static_cast<size_t>(field.map)];
    for (const Type type : {map.key, map.value}) {
      if (random() % 8 == 0) continue;
      const bool is_key = value.empty();
      add_value(plan, {is_key ? 1u : 2u, type, static_cast<Wire>(wire_of(type)), false, NOWHERE, NOWHERE, NOWHERE, NOWHERE, false}, random, depth, value);
    }
  } else if (field.node != NOWHERE) {
    value = depth > 40 ? "" : message_of(plan, plan.nodes[static_cast<size_t>(field.node)], random, depth + 1);
  } else {
    const char* pieces[] = {"a", "Z\xc3\xbcrich", "\xf0\x9f\xa6\x86", "\xff", "a text that is longer than any word of eight bytes", ""};
    value = pieces[random() % 6];
  }
  add_varint(text, value.size());
  text += value;
}

std::string message_of(const Plan& plan, const Node& node, Random& random, int depth) {
  std::string text;
  for (const Field& field : node.fields)
    if (random() % (depth > 2 && node.fields.size() > 3 ? 8 : 2) == 0) add_value(plan, field, random, depth, text);
  return text;
}

std::string damaged(const Plan& plan, Random& random) {
  std::string text = message_of(plan, plan.nodes[0], random, 1);
  for (size_t left = random() % 4; left > 0; --left) {
    const size_t at = random() % (text.size() + 1);
    switch (random() % 5) {
      case 0: text.resize(at); break;
      case 1: text.insert(at, 1, static_cast<char>(random())); break;
      case 2: text.erase(at, 1); break;
      case 3: text.insert(at, std::string(random() % 70, '\x93')); break;  // groups in groups
      default:
        if (at < text.size()) text[at] = static_cast<char>(random());
    }
  }
  return text;
}

}  // namespace

int main(int, char** arguments) {
  Random random(std::strtoull(arguments[1], nullptr, 10));
  const long count = std::strtol(arguments[2], nullptr, 10);
  const Plan plan = planned();
  constexpr size_t BATCH = 50;
  long read = 0;
  for (long done = 0; done < count; done += BATCH) {
    std::vector<std::unique_ptr<char[]>> messages;
    const std::unique_ptr<uint64_t[]> room(new uint64_t[plan.width() * Plan::stride(BATCH)]);
    Reader reader(plan, random() % 2 != 0, BATCH, room.get());
    for (size_t at = 0; at < BATCH; ++at) {
      const std::string text = damaged(plan, random);
      messages.emplace_back(new char[text.size()]);
      std::memcpy(messages.back().get(), text.data(), text.size());
      reader.read(static_cast<int64_t>(at), messages.back().get(), text.size(), random() % 16 ? 0 : random() % 8);
    }
    const Columns& columns = reader.columns();
    const size_t rows = columns.messages.size();
    read += static_cast<long>(rows);
    for (size_t at = 0; at < plan.slots.size(); ++at) {
      const Column& column = columns.slots[at];
      for (size_t row = 0; row < rows && !column.codes.empty(); ++row)
        if (column.codes[row] < NOWHERE || column.codes[row] >= static_cast<int32_t>(column.texts.kept().size())) return std::fprintf(stderr, "code of slot %zu\n", at), 1;
    }
    for (const Cells& cells : columns.maps)
      for (size_t cell = 0; cell < cells.before; ++cell)
        if (static_cast<size_t>(cells.rows[cell]) >= rows || static_cast<size_t>(cells.keys[cell]) >= cells.names.kept().size()) return std::fprintf(stderr, "a cell of no row\n"), 1;
  }
  std::printf("%ld of %ld read\n", read, count);
  return read > 0 && read < count ? 0 : 1;
}
