// One Avro message read by the schema that wrote it, straight into the slots of a series. Knows nothing of Python.
//
// A schema and a shape make a program once: steps, one a type and place, that know what is wanted of a value before any message comes.
// What is accepted here is read as monitor/sources/formats/avro/datum.py reads it (a property test holds the two together), and what is
// refused has the same reason; what only Python decides is ODD, as in JSON.
#pragma once

#include "../json/_reader.hpp"
#include "_input.hpp"

#include <cstring>

namespace driftd {
namespace avro {

constexpr uint32_t NOBODY = 0;       // the step of the root's parent, which is none
constexpr int64_t LARGEST_EXACT = int64_t{1} << 53;
constexpr size_t MOST_STEPS = 1 << 20;

enum class Type : uint8_t { null, flag, whole, single, number, bytes, text, fixed, symbol, array, map, record, choice, constant };
enum class Meaning : uint8_t { plain, decimal, millis, micros, nanos, words };  // `words`: a text that Python writes
enum class Said : uint8_t { null, flag, whole, real, text, other };              // what a constant is

// A type as its schema has it; `below` are other types.
struct Described {
  Type type = Type::null;
  Meaning meaning = Meaning::plain;
  int64_t size = 0;  // of a fixed one
  int scale = 0;
  std::vector<uint32_t> below;
  std::vector<string> names;  // of fields or symbols
  Said said = Said::null;
  int64_t whole = 0;
  double real = 0;
};

struct Step {
  Type type = Type::null;
  Meaning meaning = Meaning::plain;
  Kind kind = Kind::stranger;  // what is wanted of it; strangers: nothing
  uint32_t place = NEVER;
  const Node* node = nullptr;  // whose entries stand below
  uint32_t described = 0;
  std::vector<uint32_t> below;  // steps; of a map first that of values nobody asked for, then one an entry
};

// A shape that is read from what one schema wrote.
struct WrittenShape : Shape {
  std::vector<Described> types;
  std::vector<Step> steps;
  uint32_t first = 0;
  size_t begin = 0;  // bytes before the datum

  // Makes the steps; false where there would be too many. To be called when the shape is whole.
  bool bind() {
    nobody_.assign(types.size(), UINT32_MAX);
    first = step(0, Kind::node, NEVER, &root);
    return steps.size() <= MOST_STEPS;
  }

 private:
  uint32_t skipped(uint32_t type) {
    if (nobody_[type] != UINT32_MAX) return nobody_[type];
    const uint32_t made = nobody_[type] = add(type, Kind::stranger, NEVER, nullptr);
    for (const uint32_t below : types[type].below) {
      const uint32_t step = skipped(below);
      steps[made].below.push_back(step);
    }
    return made;
  }

  uint32_t add(uint32_t type, Kind kind, uint32_t place, const Node* node) {
    steps.emplace_back();
    Step& made = steps.back();
    made.type = types[type].type;
    made.meaning = types[type].meaning;
    made.kind = kind;
    made.place = place;
    made.node = node;
    made.described = type;
    return static_cast<uint32_t>(steps.size() - 1);
  }

  uint32_t of_entry(uint32_t type, const Entry& entry) {
    return step(type, entry.kind, static_cast<uint32_t>(entry.id), entry.node.get());
  }

  uint32_t step(uint32_t type, Kind kind, uint32_t place, const Node* node) {
    const uint32_t made = add(type, kind, place, node);
    if (steps.size() > MOST_STEPS) return made;
    std::vector<uint32_t> below;
    const Described& told = types[type];
    if (told.type == Type::map && node != nullptr) below.push_back(skipped(told.below[0]));
    if (told.type == Type::choice) {
      for (const uint32_t branch : told.below) below.push_back(step(branch, kind, place, node));
    } else if (told.type == Type::map && node != nullptr) {
      for (const Entry& entry : node->entries) below.push_back(of_entry(told.below[0], entry));
    } else {
      for (size_t at = 0; at < told.below.size(); ++at) {
        const int32_t found = told.type == Type::record && node != nullptr ? node->index.find(told.names[at]) : -1;
        below.push_back(found < 0 ? skipped(told.below[at]) : of_entry(told.below[at], node->entries[found]));
      }
    }
    steps[made].below = std::move(below);
    return made;
  }

  std::vector<uint32_t> nobody_;
};

class Reader : public driftd::Reader, private Input {
 public:
  using Shape_ = WrittenShape;
  static constexpr bool ENDED = false;

  Reader(const WrittenShape& shape, const Columns& columns, int64_t unit, int64_t latest)
      : driftd::Reader(shape, columns, unit, latest), written_(shape) {}

  // Reads a message into the given row; false: a `verdict` says why not.
  bool read(const char* begin, const char* end, ptrdiff_t row) {
    at_row(row);
    if (datum(begin, end)) return filled();
    forget();
    return false;
  }

  // Reads all of it, for the envelope is as likely at the end.
  bool read_envelope(const char* begin, const char* end, const Routes&) { return datum(begin, end); }

  using Input::verdict;

 private:
  using Input::take;

  bool datum(const char* begin, const char* end) {
    anew();
    input(begin, end, ODD);
    if (static_cast<size_t>(end - begin) < written_.begin || is_container(begin, end)) return false;
    at_ += written_.begin;
    if (!run(written_.steps[written_.first])) return false;
    return (at_ == end_ || fail(TRAILING)) && complete();
  }

  static bool is_container(const char* begin, const char* end) { return end - begin >= 4 && std::memcmp(begin, "Obj\x01", 4) == 0; }

  // --- steps ---

  bool run(const Step& step) {
    int64_t number = 0;
    string_view found;
    switch (step.type) {
      case Type::number: return floating(step);
      case Type::single: {
        if (!take(4, found)) return false;
        float value;
        std::memcpy(&value, found.data(), sizeof value);
        return wants_nothing(step) || (once(step) && real(step, value));
      }
      case Type::whole:
        if (!whole(number)) return false;
        return wants_nothing(step) || (once(step) && meant(step, number));
      case Type::text: return string_of(step);
      case Type::symbol: {
        const auto& symbols = written_.types[step.described].names;
        if (!whole(number)) return false;
        if (number < 0 || static_cast<size_t>(number) >= symbols.size()) return fail(MALFORMED);
        return wants_nothing(step) || (once(step) && letters(step, symbols[static_cast<size_t>(number)]));
      }
      case Type::null: return wants_nothing(step) || (once(step) && nothing(step));
      case Type::flag:
        if (!take(1, found)) return false;
        if (static_cast<unsigned char>(found[0]) > 1) return fail(MALFORMED);
        return wants_nothing(step) || (once(step) && truth(step, found[0] == 1));
      case Type::bytes: return bytes(found) && (wants_nothing(step) || (once(step) && raw(step, found)));
      case Type::fixed:
        return take(written_.types[step.described].size, found) && (wants_nothing(step) || (once(step) && raw(step, found)));
      case Type::choice:
        if (!whole(number)) return false;
        if (number < 0 || static_cast<size_t>(number) >= step.below.size()) return fail(MALFORMED);
        return run(written_.steps[step.below[static_cast<size_t>(number)]]);
      case Type::record: return record(step);
      case Type::array: return array(step);
      case Type::map: return map(step);
      case Type::constant: return wants_nothing(step) || (once(step) && constant(step));
    }
    return false;
  }

  // What most fields are; the rest is not worth its place in a loop over these.
  bool field(const Step& step) {
    if (step.type == Type::number) return floating(step);
    if (step.type != Type::text) return run(step);
    return step.kind == Kind::category ? category_of(step) : string_of(step);
  }

  bool category_of(const Step& step) {
    string_view found;
    if (!text(found) || !once(step)) return false;
    coded(slot(step), found);
    return shape_.keeping.empty() || watched(static_cast<size_t>(slot(step)), text_kept(found));
  }

  bool floating(const Step& step) {
    if (left() < 8) return fail(TRUNCATED);
    double value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return wants_nothing(step) || (once(step) && real(step, value));
  }

  bool string_of(const Step& step) {
    string_view found;
    return text(found) && (wants_nothing(step) || (once(step) && letters(step, found)));
  }

  static bool wants_nothing(const Step& step) { return step.kind == Kind::stranger; }

  // Whether its place was not told before in this message: what is said twice is decided elsewhere.
  bool once(const Step& step) {
    Place& place = places_[step.place];
    if (step.place == NEVER) return true;
    if (place.said == message_) return false;
    place.said = message_;
    return true;
  }

  // Goes into an object; false where another thing is wanted than its fields, or it was told before.
  bool enter(const Step& step) {
    if (step.kind != Kind::node) return true;
    if (!once(step)) return false;
    if (step.place != NEVER) required_ += step.node->required;
    return true;
  }

  bool record(const Step& step) {
    const char* const begin = at_;
    if (!enter(step) || !deeper()) return false;
    for (const uint32_t below : step.below)
      if (!field(written_.steps[below])) return false;
    return took(begin) && shallower() && composed(step);
  }

  bool array(const Step& step) {
    if (!deeper()) return false;
    for (int64_t count = 0;;) {
      if (!block(count)) return false;
      if (count == 0) break;
      const Step& item = written_.steps[step.below[0]];
      for (; count > 0; --count) {
        const char* const begin = at_;
        if (!run(item) || !took(begin)) return false;
      }
    }
    if (step.kind == Kind::node) return false;  // a list where an object should be
    return shallower() && composed(step);
  }

  bool map(const Step& step) {
    if (!enter(step) || !deeper()) return false;
    for (int64_t count = 0;;) {
      if (!block(count)) return false;
      if (count == 0) break;
      for (; count > 0; --count) {
        string_view key;
        if (!text(key)) return false;
        const int32_t entry = step.node == nullptr ? -1 : step.node->index.find(key);
        if (!run(written_.steps[step.below[static_cast<size_t>(entry + 1)]])) return false;
      }
    }
    return shallower() && composed(step);
  }

  // An object or a list where something else is wanted.
  bool composed(const Step& step) {
    if (step.kind == Kind::node || step.kind == Kind::stranger) return true;
    return once(step) && other(step);
  }

  // --- values, by what is wanted ---

  int slot(const Step& step) const { return places_[step.place].slot; }

  bool nothing(const Step& step) {
    switch (step.kind) {
      case Kind::number: return without(slot(step), missing);
      case Kind::category: return without_code(slot(step), missing) && watched(static_cast<size_t>(slot(step)), nothing_kept);
      case Kind::version: return has_version_ = true;
      case Kind::id:
      case Kind::wide_id: return true;
      default: return false;
    }
  }

  bool truth(const Step& step, bool value) {
    const string_view text = value ? "true" : "false";
    switch (step.kind) {
      case Kind::number: return flag(slot(step), value ? 1 : 0);
      case Kind::category: return coded(slot(step), text) && watched(static_cast<size_t>(slot(step)), truth_kept(text));
      case Kind::id:
      case Kind::wide_id: return identified(places_[step.place], text) && watched(places_[step.place], truth_kept(text));
      default: return false;
    }
  }

  bool letters(const Step& step, string_view text) {
    switch (step.kind) {
      case Kind::number: return without(slot(step), number_as_text, unusable());
      case Kind::category: return coded(slot(step), text) && watched(static_cast<size_t>(slot(step)), text_kept(text));
      case Kind::id:
      case Kind::wide_id: return identified(places_[step.place], text) && watched(places_[step.place], text_kept(text));
      case Kind::timestamp: return has_time_ = rfc3339(text, time_) && in_bounds();
      case Kind::model:
        model_ = text;
        return has_model_ = true;
      case Kind::version:
        version_ = text;
        return has_version_ = true;
      default: return false;
    }
  }

  bool real(const Step& step, double value) {
    if (step.kind == Kind::number) {
      if (std::isfinite(value)) return with(slot(step), value);
      return without(slot(step), non_finite, std::isnan(value) ? NOT_A_NUMBER : value);
    }
    Number number;
    number.value = value;
    if (!std::isfinite(value)) {
      if (step.kind == Kind::category)
        return without_code(slot(step), non_finite) && watched(static_cast<size_t>(slot(step)), none_kept);
      return (step.kind == Kind::id || step.kind == Kind::wide_id) && watched(places_[step.place], none_kept);
    }
    return written(step, number);
  }

  bool integer(const Step& step, int64_t value) {
    if (step.kind == Kind::number) return with(slot(step), static_cast<double>(value));
    Number number;
    const auto end = std::to_chars(whole_, whole_ + sizeof whole_, value).ptr;
    number.text = {whole_, static_cast<size_t>(end - whole_)};
    number.value = static_cast<double>(value);
    number.whole = number.exact = true;
    number.integer = value;
    return written(step, number);
  }

  // A number where none is wanted: as its text, or a time.
  bool written(const Step& step, const Number& number) {
    string_view text;
    if (step.kind == Kind::timestamp) return has_time_ = driftd::epoch(number, unit_, time_) && in_bounds();
    if (!driftd::canonical(number, digits_, text)) return false;
    switch (step.kind) {
      case Kind::category: return coded(slot(step), text) && watched(static_cast<size_t>(slot(step)), number_kept(number, text));
      case Kind::id:
      case Kind::wide_id: return identified(places_[step.place], text) && watched(places_[step.place], number_kept(number, text));
      case Kind::version:
        version_text_ = text;
        version_ = version_text_;
        return has_version_ = true;
      default: return false;
    }
  }

  bool other(const Step& step) {
    switch (step.kind) {
      case Kind::number: return without(slot(step), wrong_type, unusable());
      case Kind::category:  // an error may be an object: whether it holds anything is decided elsewhere
        return slot(step) != shape_.error && without_code(slot(step), wrong_type) &&
               watched(static_cast<size_t>(slot(step)), none_kept);
      case Kind::id:
      case Kind::wide_id: return watched(places_[step.place], none_kept);
      default: return false;
    }
  }

  // A whole number, by what it means.
  bool meant(const Step& step, int64_t value) {
    switch (step.meaning) {
      case Meaning::plain: return integer(step, value);
      case Meaning::millis: return moment(step, value, 1'000'000);
      case Meaning::micros: return moment(step, value, 1'000);
      case Meaning::nanos: return moment(step, value, 1);
      default: return worded(step);
    }
  }

  // A time that its type tells, cut after the microsecond.
  bool moment(const Step& step, int64_t value, int64_t nanos) {
    if (step.kind != Kind::timestamp) return worded(step);
    if (value < 0 || value > INT64_MAX / nanos) return false;
    time_ = value * nanos;
    time_ -= time_ % 1'000;
    return has_time_ = in_bounds();
  }

  // What Python writes as a text, where none is wanted.
  bool worded(const Step& step) { return step.kind == Kind::number && without(slot(step), number_as_text, unusable()); }

  bool raw(const Step& step, string_view found) {
    if (step.meaning == Meaning::decimal) return decimal(step, found);
    return worded(step);
  }

  // An unscaled number, the highest byte first; one that no double holds is decided elsewhere.
  bool decimal(const Step& step, string_view found) {
    const int scale = written_.types[step.described].scale;
    if (found.size() > 8 || scale > 22) return false;
    uint64_t bits = !found.empty() && static_cast<unsigned char>(found[0]) >= 0x80 ? ~uint64_t{0} : 0;
    for (const char byte : found) bits = bits << 8 | static_cast<unsigned char>(byte);
    const auto value = static_cast<int64_t>(bits);
    if (scale == 0) return integer(step, value);
    if (value > LARGEST_EXACT || value < -LARGEST_EXACT) return false;
    return real(step, static_cast<double>(value) / POWERS[scale]);
  }

  bool constant(const Step& step) {
    const Described& told = written_.types[step.described];
    switch (told.said) {
      case Said::null: return nothing(step);
      case Said::flag: return truth(step, told.whole != 0);
      case Said::whole: return integer(step, told.whole);
      case Said::real: return real(step, told.real);
      case Said::text: return letters(step, told.names[0]);
      case Said::other: break;
    }
    return false;
  }

  const WrittenShape& written_;
  char whole_[24] = {};
};

}  // namespace avro
}  // namespace driftd
