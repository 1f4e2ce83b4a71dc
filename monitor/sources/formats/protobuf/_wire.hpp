// Protobuf's wire format read against a plan: the fields of a message to rows of columns. Knows nothing of Python.
//
// What is accepted, and why a message is refused, is the same as in wire.py and messages.py: a property test holds the two together.
// Nothing is allocated by what a message claims: columns have a place a message, texts and cells are there before they are kept.
#pragma once

#include "../json/_hash.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace driftd::protobuf {

using std::string_view;

constexpr size_t MAX_BYTES = 1 << 20, MAX_KEYS = 10'000;
constexpr int MAX_DEPTH = 32;
constexpr int32_t NOWHERE = -1;
constexpr uint32_t DIRECT = 256;  // field numbers that are looked up by themselves

enum Outcome : int8_t { good, tombstone, empty, too_large, malformed, too_deep, other_type, invalid_text, too_many_keys };
enum Wire : uint8_t { varint_wire, fixed64_wire, bytes_wire, group_wire, group_end_wire, fixed32_wire };
enum Type : uint8_t {
  double_type = 1, float_type, int64_type, uint64_type, int32_type, fixed64_type, fixed32_type, bool_type, string_type, group_type,
  message_type, bytes_type, uint32_type, enum_type, sfixed32_type, sfixed64_type, sint32_type, sint64_type
};
enum Family : uint8_t { floats, signed_numbers, unsigned_numbers, texts, byte_texts };

// --- the plan ------------------------------------------------------------------------------------------------------

struct Field {
  uint32_t number = 0;
  Type type = double_type;
  Wire wire = fixed64_wire;
  bool repeated = false;
  int32_t slot = NOWHERE, node = NOWHERE, map = NOWHERE, oneof = NOWHERE;
  bool quick = false;  // eight bytes to a column as they are
};

struct Default {
  bool there = false;
  uint64_t bits = 0;
  std::string text;
};

struct Slot {
  int32_t node = 0;
  Family family = floats;
  bool hashed = false;  // only which rows have the same is asked
  Default otherwise;
};

struct Node {
  int32_t parent = NOWHERE;
  bool stands = false;  // at a path; else it is only looked at
  bool is_entry = false;  // of a map
  Default otherwise;      // what its value is that has none, where it is no message
  std::vector<Field> fields;
  std::vector<int32_t> slots, children, maps;
  std::vector<int16_t> direct;  // the field of each small number

  // To be called when all fields are there, and which slots are hashed.
  void index(const std::vector<Slot>& slots) {
    for (Field& field : fields)
      field.quick = field.wire == fixed64_wire && field.slot != NOWHERE && field.oneof == NOWHERE && !slots[static_cast<size_t>(field.slot)].hashed;
    direct.assign(DIRECT, NOWHERE);
    for (size_t at = 0; at < fields.size() && at <= INT16_MAX; ++at)
      if (fields[at].number < DIRECT) direct[fields[at].number] = static_cast<int16_t>(at);
  }

  const Field* find(uint32_t number) const {
    if (number < DIRECT) return direct[number] < 0 ? nullptr : &fields[static_cast<size_t>(direct[number])];
    for (const Field& field : fields)
      if (field.number == number) return &field;
    return nullptr;
  }
};

struct MapSlot {
  int32_t node = 0;
  Type key = string_type, value = double_type;
  Family family = floats;
  Default otherwise;
};

struct Plan {
  std::vector<Node> nodes;
  std::vector<Slot> slots;
  std::vector<MapSlot> maps;

  // Columns of eight bytes a row, and how far they lie apart for some messages: by an odd number of cache lines, for those of one
  // row not to fall into the same places of a cache.
  size_t width() const {
    size_t found = 0;
    for (const Slot& slot : slots) found += slot.hashed ? 2 : slot.family < texts;
    return found;
  }
  static size_t stride(size_t messages) { return 8 * ((messages + 7) / 8 | 1); }
};

// --- columns -------------------------------------------------------------------------------------------------------

// Texts to numbers in the order in which they first came. Of a column in which nearly all differ each gets a number of its own.
// The texts lie in the messages.
class Texts {
 public:
  int32_t code(string_view text) {
    if (!sharing_) return append(text);
    if (!kept_.empty() && text == kept_[last_]) return static_cast<int32_t>(last_);
    if (2 * (kept_.size() + 1) > slots_.size()) grow();
    ++asked_;
    const size_t mask = slots_.size() - 1;
    for (size_t slot = hash(text) & mask;; slot = (slot + 1) & mask) {
      if (slots_[slot] == NOWHERE) {
        last_ = kept_.size();
        slots_[slot] = append(text);
        if (!always_ && asked_ >= TRIED && 2 * kept_.size() > asked_) sharing_ = false;
        return slots_[slot];
      }
      if (kept_[static_cast<size_t>(slots_[slot])] == text) {
        last_ = static_cast<size_t>(slots_[slot]);
        return slots_[slot];
      }
    }
  }

  void share_all() { always_ = true; }  // each text has one number, however many differ
  const std::vector<string_view>& kept() const { return kept_; }

 private:
  static constexpr size_t TRIED = 512;

  static size_t hash(string_view text) {
    uint64_t mixed = 0x9E3779B97F4A7C15u ^ text.size();
    const char* at = text.data();
    size_t left = text.size();
    uint64_t word = 0;
    for (; left >= 8; at += 8, left -= 8) {
      std::memcpy(&word, at, 8);
      mixed = (mixed ^ word) * 0xD6E8FEB86659FD93u;
      mixed ^= mixed >> 32;
    }
    word = 0;
    if (left > 0) std::memcpy(&word, at, left);
    mixed = (mixed ^ word) * 0xD6E8FEB86659FD93u;
    return static_cast<size_t>(mixed ^ mixed >> 32);
  }

  int32_t append(string_view text) {
    kept_.push_back(text);
    return static_cast<int32_t>(kept_.size() - 1);
  }

  void grow() {
    slots_.assign(slots_.empty() ? 64 : 2 * slots_.size(), NOWHERE);
    for (size_t at = 0; at < kept_.size(); ++at) {
      size_t slot = hash(kept_[at]) & (slots_.size() - 1);
      while (slots_[slot] != NOWHERE) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<int32_t>(at);
    }
  }

  std::vector<string_view> kept_;
  std::vector<int32_t> slots_;
  size_t last_ = 0, asked_ = 0;
  bool sharing_ = true, always_ = false;
};

struct Column {
  uint64_t* bits = nullptr;  // of floats and numbers; texts have codes; of what is hashed, its hashes
  uint64_t* more = nullptr;  // further bits of these
  std::vector<int32_t> codes;   // NOWHERE: missing
  std::vector<uint8_t> there;   // of numbers
  size_t lacking = 0;           // of numbers: rows without
  Texts texts;
};

// What maps hold: a cell an entry, keys by their number.
struct Cells {
  std::vector<int32_t> rows, keys;
  std::vector<uint64_t> bits;
  Texts names, texts;
  size_t before = 0;           // cells of the rows before
  std::vector<int32_t> after;  // the key that came behind each the last time: the first guess
  int32_t last = NOWHERE;

  void add_key(string_view key) {
    const int32_t guess = last == NOWHERE ? NOWHERE : after[static_cast<size_t>(last)];
    const int32_t found = guess != NOWHERE && names.kept()[static_cast<size_t>(guess)] == key ? guess : names.code(key);
    if (static_cast<size_t>(found) >= after.size()) after.resize(static_cast<size_t>(found) + 1, NOWHERE);
    if (last != NOWHERE) after[static_cast<size_t>(last)] = found;
    last = found;
    keys.push_back(found);
  }
};

struct Columns {
  std::vector<Column> slots;
  std::vector<Cells> maps;
  std::vector<std::vector<uint8_t>> nodes;  // whether a message is there in each row
  std::vector<int64_t> messages;            // the place of each row's message
  std::vector<int8_t> outcomes;             // of each message
};

// --- bytes ---------------------------------------------------------------------------------------------------------

inline bool is_utf8(string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at < end) {
    if (end - at >= 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      if ((word & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    if (*at < 0x80) {
      ++at;
      continue;
    }
    const int more = *at >= 0xC2 && *at <= 0xDF ? 1 : *at >= 0xE0 && *at <= 0xEF ? 2 : *at >= 0xF0 && *at <= 0xF4 ? 3 : 0;
    if (more == 0 || end - at <= more) return false;
    const unsigned char second = at[1];
    if ((*at == 0xE0 && second < 0xA0) || (*at == 0xED && second > 0x9F) || (*at == 0xF0 && second < 0x90) ||
        (*at == 0xF4 && second > 0x8F))
      return false;
    for (int place = 1; place <= more; ++place)
      if ((at[place] & 0xC0) != 0x80) return false;
    at += more + 1;
  }
  return true;
}

struct Cursor {
  const uint8_t *at, *end;

  size_t left() const { return static_cast<size_t>(end - at); }

  bool varint(uint64_t& value, int longest = 10) {
    if (at < end && *at < 0x80) {
      value = *at++;
      return true;
    }
    value = 0;
    for (int place = 0; place < longest && at < end; ++place) {
      const uint8_t byte = *at++;
      value |= static_cast<uint64_t>(byte & 0x7F) << (7 * place);
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool tag(uint32_t& number, uint8_t& wire) {
    uint64_t found;
    if (!varint(found, 5) || found >> 32 != 0 || found >> 3 == 0) return false;
    number = static_cast<uint32_t>(found >> 3);
    wire = static_cast<uint8_t>(found & 7);
    return true;
  }

  bool part(Cursor& found) {
    uint64_t size;
    if (!varint(size) || size > left()) return false;
    found = {at, at + size};
    at += size;
    return true;
  }

  bool fixed64(uint64_t& value) {
    if (left() < 8) return false;
    std::memcpy(&value, at, 8);
    at += 8;
    return true;
  }

  bool fixed32(uint32_t& value) {
    if (left() < 4) return false;
    std::memcpy(&value, at, 4);
    at += 4;
    return true;
  }
};

// Passes over a value; `depth` of the message that holds it.
inline Outcome skip(Cursor& in, uint32_t number, uint8_t wire, int depth) {
  uint64_t wide;
  uint32_t narrow;
  Cursor part{nullptr, nullptr};
  switch (wire) {
    case varint_wire: return in.varint(wide) ? good : malformed;
    case fixed64_wire: return in.fixed64(wide) ? good : malformed;
    case bytes_wire: return in.part(part) ? good : malformed;
    case fixed32_wire: return in.fixed32(narrow) ? good : malformed;
    case group_wire: break;
    default: return malformed;
  }
  if (depth + 1 > MAX_DEPTH) return too_deep;
  for (;;) {
    uint32_t held;
    uint8_t held_wire;
    if (!in.tag(held, held_wire)) return malformed;
    if (held_wire == group_end_wire) return held == number ? good : malformed;
    if (const Outcome outcome = skip(in, held, held_wire, depth + 1); outcome != good) return outcome;
  }
}

constexpr bool packs(Wire wire) { return wire == varint_wire || wire == fixed64_wire || wire == fixed32_wire; }

inline uint64_t bits_of(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  return bits;
}

inline uint64_t widened(int32_t value) { return static_cast<uint64_t>(static_cast<int64_t>(value)); }

// A value of 64 bits: those of a double, of a signed or of an unsigned number.
inline bool number(Cursor& in, Type type, uint64_t& bits) {
  uint32_t narrow;
  switch (type) {
    case double_type:
    case fixed64_type:
    case sfixed64_type: return in.fixed64(bits);
    case float_type: {
      float value;
      if (!in.fixed32(narrow)) return false;
      std::memcpy(&value, &narrow, 4);
      bits = bits_of(static_cast<double>(value));
      return true;
    }
    case fixed32_type:
      if (!in.fixed32(narrow)) return false;
      bits = narrow;
      return true;
    case sfixed32_type:
      if (!in.fixed32(narrow)) return false;
      bits = widened(static_cast<int32_t>(narrow));
      return true;
    default: break;
  }
  if (!in.varint(bits)) return false;
  switch (type) {
    case int32_type:
    case enum_type: bits = widened(static_cast<int32_t>(static_cast<uint32_t>(bits))); break;
    case uint32_type: bits = static_cast<uint32_t>(bits); break;
    case bool_type: bits = bits != 0; break;
    case sint32_type: {
      const auto low = static_cast<uint32_t>(bits);
      bits = widened(static_cast<int32_t>((low >> 1) ^ (0u - (low & 1))));
      break;
    }
    case sint64_type: bits = (bits >> 1) ^ (uint64_t{0} - (bits & 1)); break;
    default: break;
  }
  return true;
}

inline uint8_t wire_of(Type type) {
  switch (type) {
    case double_type:
    case fixed64_type:
    case sfixed64_type: return fixed64_wire;
    case float_type:
    case fixed32_type:
    case sfixed32_type: return fixed32_wire;
    case string_type:
    case bytes_type: return bytes_wire;
    default: return varint_wire;
  }
}

inline Outcome value_of(Type type, Cursor& in, uint64_t& bits, string_view& text) {
  if (type != string_type && type != bytes_type) return number(in, type, bits) ? good : malformed;
  Cursor part{nullptr, nullptr};
  if (!in.part(part)) return malformed;
  text = {reinterpret_cast<const char*>(part.at), part.left()};
  return type == bytes_type || is_utf8(text) ? good : invalid_text;
}

// --- one message after the other -----------------------------------------------------------------------------------

class Reader {
 public:
  // `strict`: a field written as another type says that this is another message. Columns of eight bytes a row are written where the
  // caller has room for them.
  Reader(const Plan& plan, bool strict, size_t messages, uint64_t* room) : plan_(plan), strict_(strict) {
    columns_.slots.resize(plan.slots.size());
    columns_.maps.resize(plan.maps.size());
    columns_.nodes.resize(plan.nodes.size());
    said_.resize(plan.slots.size());
    node_said_.resize(plan.nodes.size());
    for (size_t at = 0; at < plan.slots.size(); ++at) {
      Column& column = columns_.slots[at];
      if (plan.slots[at].hashed) {
        column.bits = room;
        column.more = room + Plan::stride(messages);
        room += 2 * Plan::stride(messages);
      } else if (plan.slots[at].family >= texts) {
        column.codes.resize(messages);
      } else {
        column.bits = room;
        room += Plan::stride(messages);
        if (plan.slots[at].family != floats) column.there.resize(messages, 1);
      }
    }
    for (size_t at = 1; at < plan.nodes.size(); ++at)
      if (plan.nodes[at].stands) columns_.nodes[at].resize(messages, 1);
    for (Cells& cells : columns_.maps) cells.names.share_all();
    for (Column& column : columns_.slots) bits_.push_back(column.bits);
  }

  // Reads the message at a place of its batch, from its data's `from`th byte on; no data: there is none.
  void read(int64_t place, const char* data, size_t size, size_t from) {
    const Outcome outcome = data == nullptr ? tombstone : size > MAX_BYTES ? too_large : fields(data, size, from);
    columns_.outcomes.push_back(outcome);
    if (outcome != good) return;
    finish();
    columns_.messages.push_back(place);
    ++row_;
  }

  const Columns& columns() const { return columns_; }

 private:
  Outcome fields(const char* data, size_t size, size_t from) {
    ++message_;
    filled_ = 0;
    for (Cells& cells : columns_.maps) forget(cells, cells.before);
    const auto* begin = reinterpret_cast<const uint8_t*>(data);
    Cursor in{begin + (from < size ? from : size), begin + size};
    if (strict_ && in.at == in.end) return empty;
    bool known = false;
    const Outcome outcome = merge(0, in, 1, known);
    if (outcome != good) return outcome;
    if (strict_ && !known) return other_type;
    for (const Cells& cells : columns_.maps)
      if (cells.rows.size() - cells.before > MAX_KEYS && too_many(cells)) return too_many_keys;
    return good;
  }

  // Reads the fields of a message into what is there of it.
  Outcome merge(int32_t at_node, Cursor& in, int depth, bool& known) {
    if (depth > MAX_DEPTH) return too_deep;
    const Node& node = plan_.nodes[static_cast<size_t>(at_node)];
    if (node.stands) node_said_[static_cast<size_t>(at_node)] = message_;
    while (in.at < in.end) {
      uint32_t number;
      uint8_t wire;
      if (!in.tag(number, wire)) return malformed;
      const Field* field = node.find(number);
      if (field != nullptr && field->quick && wire == fixed64_wire) {
        const auto slot = static_cast<size_t>(field->slot);
        if (!in.fixed64(bits_[slot][row_])) return malformed;
        known = true;
        mark(slot);
        continue;
      }
      Outcome outcome;
      if (field != nullptr && (wire == field->wire || (field->repeated && wire == bytes_wire && packs(field->wire)))) {
        known = true;
        outcome = take(node, *field, wire, in, depth);
      } else if (field != nullptr && strict_) {
        return other_type;
      } else {
        outcome = skip(in, number, wire, depth);
      }
      if (outcome != good) return outcome;
    }
    return good;
  }

  Outcome take(const Node& node, const Field& field, uint8_t wire, Cursor& in, int depth) {
    if (field.type == group_type) return skip(in, field.number, wire, depth);
    if (field.oneof != NOWHERE && node.stands) choose(node, field);
    if (field.wire != bytes_wire) {
      if (wire != bytes_wire) return value(field, in);
      Cursor packed{nullptr, nullptr};
      if (!in.part(packed)) return malformed;
      while (packed.at < packed.end)
        if (const Outcome outcome = value(field, packed); outcome != good) return outcome;
      return good;
    }
    Cursor part{nullptr, nullptr};
    if (!in.part(part)) return malformed;
    if (field.map != NOWHERE) return entry(columns_.maps[static_cast<size_t>(field.map)], field.map, part, depth + 1);
    bool ignored = false;
    if (field.node != NOWHERE) return merge(field.node, part, depth + 1, ignored);
    return text(field, part);
  }

  Outcome value(const Field& field, Cursor& in) {
    uint64_t bits;
    if (!number(in, field.type, bits)) return malformed;
    if (field.slot != NOWHERE) put(field.slot, bits);
    return good;
  }

  Outcome text(const Field& field, const Cursor& part) {
    const string_view found(reinterpret_cast<const char*>(part.at), part.left());
    if (field.type == string_type && !is_utf8(found)) return invalid_text;
    if (field.slot != NOWHERE) put_text(field.slot, found);
    return good;
  }

  // --- maps

  Outcome entry(Cells& cells, int32_t at_map, Cursor& in, int depth) {
    if (depth > MAX_DEPTH) return too_deep;
    const MapSlot& map = plan_.maps[static_cast<size_t>(at_map)];
    std::string written;
    string_view key = no_key(map.key);
    uint64_t bits = map.otherwise.bits;
    string_view held = map.otherwise.text;
    while (in.at < in.end) {
      uint32_t number;
      uint8_t wire;
      if (!in.tag(number, wire)) return malformed;
      const bool is_key = number == 1;
      const Type type = is_key ? map.key : map.value;
      Outcome outcome;
      if (number > 2) {
        outcome = skip(in, number, wire, depth);
      } else if (wire != wire_of(type)) {
        if (strict_) return other_type;
        outcome = skip(in, number, wire, depth);
      } else {
        outcome = is_key ? key_of(type, in, key, written) : value_of(type, in, bits, held);
      }
      if (outcome != good) return outcome;
    }
    if (written.empty()) {
      cells.add_key(key);
    } else {
      cells.add_key(*numbers_.insert(std::move(written)).first);
    }
    cells.rows.push_back(static_cast<int32_t>(row_));
    cells.bits.push_back(map.family >= texts ? static_cast<uint64_t>(cells.texts.code(held)) : bits);
    return good;
  }

  static string_view no_key(Type type) { return type == string_type ? string_view() : type == bool_type ? "false" : "0"; }

  Outcome key_of(Type type, Cursor& in, string_view& key, std::string& written) const {
    uint64_t bits = 0;
    string_view found;
    const Outcome outcome = value_of(type, in, bits, found);
    if (outcome != good || type == string_type) {
      key = found;
      return outcome;
    }
    const bool is_unsigned = type == uint64_type || type == uint32_type || type == fixed64_type || type == fixed32_type;
    written = type == bool_type ? (bits ? "true" : "false") : is_unsigned ? std::to_string(bits) : std::to_string(static_cast<int64_t>(bits));
    return good;
  }

  // Whether the keys of a message that differ are more than we take.
  static bool too_many(const Cells& cells) {
    std::vector<int32_t> keys(cells.keys.begin() + static_cast<ptrdiff_t>(cells.before), cells.keys.end());
    std::sort(keys.begin(), keys.end());
    return static_cast<size_t>(std::unique(keys.begin(), keys.end()) - keys.begin()) > MAX_KEYS;
  }

  static void forget(Cells& cells, size_t kept) {
    cells.rows.resize(kept);
    cells.keys.resize(kept);
    cells.bits.resize(kept);
  }

  // --- slots

  void put(int32_t at, uint64_t bits) {
    const auto slot = static_cast<size_t>(at);
    if (plan_.slots[slot].hashed) {
      hash(slot, plan_.slots[slot].family == unsigned_numbers ? std::to_string(bits) : std::to_string(static_cast<int64_t>(bits)));
    } else {
      bits_[slot][row_] = bits;
    }
    mark(slot);
  }

  void hash(size_t slot, string_view text) {
    columns_.slots[slot].bits[row_] = hash_id(text);
    columns_.slots[slot].more[row_] = hash_id(text, SECOND);
  }

  void put_text(int32_t at, string_view found) {
    const auto slot = static_cast<size_t>(at);
    if (plan_.slots[slot].hashed) {
      hash(slot, found);
    } else {
      columns_.slots[slot].codes[row_] = columns_.slots[slot].texts.code(found);
    }
    mark(slot);
  }

  void mark(size_t slot) {
    filled_ += said_[slot] != message_;
    said_[slot] = message_;
  }

  // One of a oneof is set: the others are not any more.
  void choose(const Node& node, const Field& chosen) {
    for (const Field& field : node.fields) {
      if (field.oneof != chosen.oneof || &field == &chosen) continue;
      if (field.slot != NOWHERE) clear(static_cast<size_t>(field.slot));
      if (field.node != NOWHERE && plan_.nodes[static_cast<size_t>(field.node)].stands) clear_node(field.node);
    }
  }

  void clear(size_t slot) {
    filled_ -= said_[slot] == message_;
    said_[slot] = 0;
  }

  void clear_node(int32_t at) {
    if (node_said_[static_cast<size_t>(at)] != message_) return;
    node_said_[static_cast<size_t>(at)] = 0;
    const Node& node = plan_.nodes[static_cast<size_t>(at)];
    for (const int32_t slot : node.slots) clear(static_cast<size_t>(slot));
    for (const int32_t child : node.children) clear_node(child);
    for (const int32_t map : node.maps) forget(columns_.maps[static_cast<size_t>(map)], columns_.maps[static_cast<size_t>(map)].before);
  }

  // What was not set is what it is worth then, or missing.
  void finish() {
    for (size_t at = 1; at < plan_.nodes.size(); ++at)
      if (node_said_[at] != message_ && plan_.nodes[at].stands) columns_.nodes[at][row_] = 0;
    for (Cells& cells : columns_.maps) cells.before = cells.rows.size();
    if (filled_ == said_.size()) return;
    for (size_t at = 0; at < said_.size(); ++at)
      if (said_[at] != message_) without(at, columns_.slots[at]);
  }

  void without(size_t at, Column& column) {
    const Slot& slot = plan_.slots[at];
    const bool worth = slot.otherwise.there && node_said_[static_cast<size_t>(slot.node)] == message_;
    if (slot.hashed) {
      column.bits[row_] = column.more[row_] = 0;
      if (worth && slot.family == texts) hash(at, slot.otherwise.text);
      if (worth && slot.family < texts) put(static_cast<int32_t>(at), slot.otherwise.bits);
      return;
    }
    if (slot.family >= texts) {
      column.codes[row_] = worth ? column.texts.code(slot.otherwise.text) : NOWHERE;
      return;
    }
    column.bits[row_] = worth ? slot.otherwise.bits : slot.family == floats ? bits_of(std::numeric_limits<double>::quiet_NaN()) : 0;
    if (slot.family == floats || worth) return;
    column.there[row_] = 0;
    ++column.lacking;
  }

  const Plan& plan_;
  const bool strict_;
  Columns columns_;
  std::vector<uint64_t*> bits_;             // of the columns
  std::vector<uint64_t> said_, node_said_;  // the last message that had it
  std::unordered_set<std::string> numbers_;  // keys that are numbers, as texts: they stay where they are
  uint64_t message_ = 0;
  size_t row_ = 0, filled_ = 0;
};

}  // namespace driftd::protobuf
