// One message read against a shape: where it keeps what is wanted, which series it belongs to. Knows nothing of Python.
#pragma once

#include "_hash.hpp"
#include "_keeping.hpp"
#include "_table.hpp"
#include "_times.hpp"

#include <array>
#include <climits>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace driftd {

using std::string;
using std::string_view;

constexpr uint32_t NEVER = 0;  // the place of a key that no message holds: after the last one it is expected
constexpr int32_t UNMONITORED = -1, ODD = -2;
constexpr ptrdiff_t LINE = 8;      // numbers in a cache line
constexpr size_t STRANGERS = 64;  // keys that nobody asked for and that are recognised all the same
constexpr size_t MAX_BYTES = 1 << 20;
constexpr int64_t EARLIEST = 946'684'800'000'000'000;  // 2000-01-01, nanoseconds
constexpr double NOT_A_NUMBER = std::numeric_limits<double>::quiet_NaN();
constexpr uint64_t UNUSABLE_BITS = 0x7FF8000000000001;  // a NaN that says: something is there, but no number (values.py)
constexpr string_view UNNAMED = "\xFF";  // the model of messages that name none: no UTF-8, so none can
constexpr double INFINITE = std::numeric_limits<double>::infinity();

enum class Kind : uint8_t { node, number, category, timestamp, model, version, id, wide_id, stranger, never };
enum Reason { missing, number_as_text, wrong_type, non_finite, reasons };
enum Counted { of_features, of_labels, of_latency, of_error, counted };

struct Node;

struct Entry {
  string key;
  Kind kind;
  int slot;
  size_t id;
  std::unique_ptr<Node> node;
};

struct Node {
  bool required = false;
  uint32_t head = 0;  // the place before its first key
  std::vector<Entry> entries;
  Table index;
};

// A key as a message is expected to write it, what stands behind it, and which one came next the last time: a cache line.
struct alignas(64) Place {
  char written[WINDOW] = {};  // `"key":`, or its beginning
  uint32_t wanted = 0;        // its bytes, a bit each
  uint32_t said = 0;          // the last message that had it
  uint32_t after = NEVER;     // the place expected next
  int32_t slot = 0;
  const Entry* entry = nullptr;
  uint32_t size = 0;  // of all that is written; 0: cannot be expected
  Kind kind = Kind::stranger;
  uint8_t step = 0;  // the same of a number whose key is written wholly; else 0

  Place() = default;
  Place(string_view key, Kind kind, int32_t slot, const Entry* entry) : slot(slot), entry(entry), kind(kind) {
    for (const unsigned char c : key)
      if (c < 0x20 || c == '"' || c == '\\') return;
    const string text = '"' + string(key) + "\":";
    size = static_cast<uint32_t>(text.size());
    std::memcpy(written, text.data(), std::min<size_t>(size, WINDOW));
    wanted = size >= WINDOW ? ~uint32_t{0} : (uint32_t{1} << size) - 1;
    if (kind == Kind::number && size <= WINDOW) step = static_cast<uint8_t>(size);
  }
};

struct Categories {
  Table codes;         // of a category by its own text, and by other spellings of its value
  int32_t unseen = 0;  // the code of what is in none; that of what is missing is next
};

struct Shape {
  Node root;
  std::vector<Categories> categories;  // one a categorical slot
  size_t numbers = 0, ids = 1, required = 0;  // `ids`: of entries; the first is nobody's
  ptrdiff_t identities = 1;  // columns of hashes
  int features = INT_MAX, coded = INT_MAX;  // slots of numbers and categories before those of labels, counted apart
  int latency = -1, error = -1;             // slots of what the request took, and whether it failed: each counted apart
  std::vector<Bounds> bounds;  // of the first slots of numbers; none without a contract
  std::vector<std::unique_ptr<Keeping>> keeping;  // of slots of categories, then of the id; none where nobody asks
  bool envelope = false;   // holds timestamp, model and version
  bool modelless = false;  // messages need not name their model
  std::vector<Place> places;  // NEVER, of entries by their ids, of heads of nodes
  std::vector<uint32_t> required_heads;  // of nodes that have to be there: features, and what they lie in

  // Expects keys in the order of their entries. To be called when all entries are there.
  void expect() {
    places.assign(ids, {});
    std::memset(places[NEVER].written, 1, WINDOW);  // no key begins with a control character
    places[NEVER].wanted = ~uint32_t{0};
    places[NEVER].size = WINDOW;
    places[NEVER].kind = Kind::never;
    expect(root);
  }

 private:
  void expect(Node& node) {
    uint32_t before = node.head = static_cast<uint32_t>(places.size());
    places.emplace_back();
    if (node.required) required_heads.push_back(before);
    for (Entry& entry : node.entries) {
      if (entry.node) expect(*entry.node);
      places[entry.id] = Place(entry.key, entry.kind, entry.slot, &entry);
      if (places[entry.id].size == 0) continue;
      places[before].after = static_cast<uint32_t>(entry.id);
      before = places[before].after;
    }
  }
};

struct Model {
  int32_t otherwise = UNMONITORED;  // the series of every version not named
  Table versions;
};

struct Routes {
  Table names;
  std::vector<Model> models;

  // Whether the version of this model's events decides on their series.
  bool by_version(string_view model) const {
    const int32_t at = names.find(model);
    return at >= 0 && models[at].versions.size() > 0;
  }

  int32_t find(string_view model, string_view version) const {
    const int32_t at = names.find(model);
    if (at < 0) return UNMONITORED;
    const int32_t named = models[at].versions.find(version);
    return named >= 0 ? named : models[at].otherwise;
  }
};

struct Columns {
  double* numbers;
  int32_t* codes;
  uint64_t* ids;   // hashes, 0 where there is none: of rows, more bits of these where they are joined, of what rows belong to
  ptrdiff_t rows;  // room for so many in each column
};

// --- one message ---------------------------------------------------------------------------------------------------

class Reader {
 public:
  Reader(const Shape& shape, const Columns& columns, int64_t unit, int64_t latest)
      : shape_(shape), columns_(columns), unit_(unit), latest_(latest), bounded_(shape.bounds.size()), places_(shape.places) {}

  // Reads a message into the given row; false: odd.
  bool read(const char* begin, const char* end, ptrdiff_t row) {
    at_row(row);
    if (!root(begin, end) || !in_.ends() || !complete()) {
      forget();
      return false;
    }
    return filled();
  }

  // Lets go of what the last message has told: its row is used again.
  void forget() {
    suspects_.lacking.resize(before_.first);
    suspects_.others.resize(before_.second);
  }

  // What a contract has to look at.
  const Suspects& suspects() const { return suspects_; }

  // Whether an object that has to be there has held a key that nobody asked for, as far as messages were read.
  bool strange() const {
    for (size_t at = 0; at < places_.size(); ++at) {
      if (places_[at].kind != Kind::stranger || places_[at].said == 0) continue;
      const uint32_t head = at < shape_.places.size() ? static_cast<uint32_t>(at) : static_cast<uint32_t>(places_[at].slot);
      if (std::count(shape_.required_heads.begin(), shape_.required_heads.end(), head) > 0) return true;
    }
    return false;
  }

  // Reads as far as time and series are known, or to the end; false: odd. What stands behind is not looked at.
  bool read_envelope(const char* begin, const char* end, const Routes& routes) {
    until_known_ = &routes;
    return root(begin, end) && (known() || (in_.ends() && enveloped()));
  }

  int64_t time() const { return time_; }
  string_view model() const { return has_model_ ? model_ : UNNAMED; }
  string_view version() const { return version_; }

  // Adds what was counted of features, then of labels, of latencies, of errors.
  void count(int64_t* totals) const {
    if (!lacks_) return;
    for (int reason = 0; reason < counted * reasons; ++reason) totals[reason] += counts_[reason];
  }

 protected:
  // What a message tells goes to this row from now on.
  void at_row(ptrdiff_t row) {
    row_ = row;
    if (row % LINE == 0) expect_rows(row + LINE);
    before_ = {suspects_.lacking.size(), suspects_.others.size()};
    until_known_ = nullptr;
    for (ptrdiff_t slot = 0; columns_.ids && slot < shape_.identities; ++slot) columns_.ids[slot * columns_.rows + row] = 0;
  }

  // Whether all that has to be there was.
  bool complete() const { return required_ == shape_.required && (!shape_.envelope || enveloped()); }

  // Fills in what was not.
  bool filled() {
    if (filled_ != shape_.numbers + shape_.categories.size()) fill();
    return has_id_ || watched(shape_.categories.size(), nothing_kept);
  }

  // Has the lines of numbers that will be written next fetched: of many series, each is in no cache by then.
  void expect_rows(ptrdiff_t row) const {
    if (row >= columns_.rows) return;
    for (size_t slot = 0; slot < shape_.numbers; ++slot)
      __builtin_prefetch(columns_.numbers + static_cast<ptrdiff_t>(slot) * columns_.rows + row, 1);
  }

  // Begins a message: nothing of it is known.
  void anew() {
    ++message_;
    filled_ = required_ = 0;
    has_time_ = has_model_ = has_version_ = has_id_ = false;
    version_ = {};
    if (lacks_) std::fill(counts_, counts_ + counted * reasons, 0);
    lacks_ = false;
  }

  bool root(const char* begin, const char* end) {
    if (end - begin >= 3 && std::memcmp(begin, "\xEF\xBB\xBF", 3) == 0) begin += 3;  // a byte order mark
    in_ = Cursor(begin, end);
    anew();
    in_.space();
    return *in_.at == '{' && object(shape_.root, 1);
  }

  bool enveloped() const { return has_time_ && (has_model_ || shape_.modelless); }

  bool known() const {
    return until_known_ && has_time_ && has_model_ && (has_version_ || !until_known_->by_version(model_));
  }

  // Most messages of a topic hold the same keys in the same order: the one that followed the last time is tried first, then,
  // for one may be left out, the one that followed that.
  bool object(const Node& node, int depth) {
    in_.step();
    if (*in_.at == '}') return in_.pass();
    const char* at = in_.at;  // here, for it to stay in a register
    uint32_t before = node.head;
    for (;;) {
      if (places_[places_[before].after].step != 0 && *(at = numbers(before, at)) == '}' && is_digit(at[-1])) break;
      uint32_t here = places_[before].after;
      if (stands(here, at) || stands(here = places_[here].after, at)) {
        at = past_space(at + places_[here].size);
      } else {
        in_.at = at;
        if (!key(node, before, here)) return false;
        at = in_.at;
      }
      before = here;
      if (!value(here, depth, at)) return false;
      if (until_known_ && known()) return true;
      if (*at != ',' && *(at = past_space(at)) != ',') break;
      at = past_space(at + 1);
    }
    in_.at = at;
    return *at == '}' && in_.pass();
  }

  // Past numbers that stand where they did in the message before, each with its key, and what is behind each: a comma, or the end of the
  // object, which is left. As most of what is read are these, nothing else is done here: whatever is odd is left where it is.
  DRIFTD_APART const char* numbers([[maybe_unused]] uint32_t& before, const char* at) {
#ifdef DRIFTD_WIDE
    Place* const places = places_.data();
    const char* const last = at + (in_.left_of(at) - (2 * WINDOW + 2));  // a key and a number, and a space behind either
    const uint32_t message = message_;
    uint32_t here = before;
    while (at <= last) {
      Place& place = places[places[here].after];
      if ((~alike(at, place.written) & place.wanted) != 0 || place.step == 0 || place.said == message) break;
      const char* begin = at + place.step;
      begin += *begin == ' ';
      double value;
      const char* end = mantissa_in_window(begin, value);
      if (end == nullptr || (*end != ',' && *end != '}')) break;
      place.said = message;
      put(place.slot, value);
      here = places[here].after;
      at = end;
      if (*end != ',') break;
      at += 1 + (end[1] == ' ');
    }
    before = here;
    return past_space(at);
#else
    return at;
#endif
  }

  // Whether the key of a place stands here, with its quotes and colon.
  bool stands(uint32_t here, const char* at) const {
    const Place& place = places_[here];
    if (!in_.has_window(at)) return stands_at_end(place, at);
    if ((~alike(at, place.written) & place.wanted) != 0) return false;
    return place.size <= WINDOW || stands_whole(*place.entry, at);
  }

  // The same where less than a window is left.
  DRIFTD_APART bool stands_at_end(const Place& place, const char* at) const {
    return place.size != 0 && in_.left(at) >= place.size && std::memcmp(at, place.written, place.size) == 0;
  }

  DRIFTD_APART bool stands_whole(const Entry& entry, const char* at) const {
    const string_view key = entry.key;
    return in_.left(at) >= key.size() + 3 && std::memcmp(at + 1, key.data(), key.size()) == 0 &&
           at[key.size() + 1] == '"' && at[key.size() + 2] == ':';
  }

  // Any key, with its colon; it is expected there from now on.
  DRIFTD_APART bool key(const Node& node, uint32_t before, uint32_t& here) {
    string_view text;
    if (*in_.at != '"' || !in_.string(text, scratch_)) return false;
    const int32_t found = node.index.find(text);
    here = found >= 0 ? static_cast<uint32_t>(node.entries[found].id) : stranger(node, text);
    if (places_[here].size != 0) places_[before].after = here;
    return in_.colon();
  }

  // The place of a key that nobody asked for. Few are kept, each for its node, for what follows is of the same one.
  uint32_t stranger(const Node& node, string_view text) {
    uint32_t& kept = strangers_[(Table::hash(text) ^ node.head) % STRANGERS];
    if (kept == NEVER && text.size() + 3 <= WINDOW) {
      kept = static_cast<uint32_t>(places_.size());
      places_.emplace_back(text, Kind::stranger, static_cast<int32_t>(node.head), nullptr);
    }
    const Place& place = places_[kept];
    const bool same = kept != NEVER && place.slot == static_cast<int32_t>(node.head) && place.size == text.size() + 3 &&
                      std::memcmp(place.written + 1, text.data(), text.size()) == 0;
    return same ? kept : node.head;  // which has no text, and so is not expected
  }

  // The value of a key; false: odd. A key said twice is: the last one counts, and that is decided elsewhere.
  bool value(uint32_t here, int depth, const char*& at) {
    Place& place = places_[here];
    if (place.said == message_ && place.kind != Kind::stranger) return false;
    place.said = message_;
    if (place.kind == Kind::number && quick(place.slot, at)) return true;
    if (place.kind == Kind::category && quick_text(place.slot, at)) return true;
    in_.at = at;
    const bool taken = take(place, depth);
    at = in_.at;
    return taken;
  }

  // A number of the usual shape; where it is anything else, nothing is done.
  bool quick([[maybe_unused]] int slot, [[maybe_unused]] const char*& at) {
#ifdef DRIFTD_WIDE
    double found;
    const char* end = in_.has_window(at) ? in_window(at, found) : nullptr;
    if (end == nullptr) return false;
    put(slot, found);
    at = end;
    return true;
#else
    return false;
#endif
  }

  // The same of a category that is a text without escapes, all of it ASCII.
  bool quick_text([[maybe_unused]] int slot, [[maybe_unused]] const char*& at) {
#ifdef DRIFTD_WIDE
    const char* begin = at + 1;
    if (*at != '"' || !in_.has_window(begin)) return false;
    const uint32_t marks = marks_in(begin);
    if (marks == 0 || begin[lowest(marks)] != '"') return false;
    const string_view text(begin, static_cast<size_t>(lowest(marks)));
    coded(slot, text);
    if (!shape_.keeping.empty()) watched(static_cast<size_t>(slot), text_kept(text));
    at = begin + text.size() + 1;
    return true;
#else
    return false;
#endif
  }

  bool take(const Place& place, int depth) {
    switch (place.kind) {
      case Kind::number: return number(place.slot, depth);
      case Kind::category: return category(place.slot, depth);
      case Kind::timestamp: return has_time_ = timestamp();
      case Kind::model: return has_model_ = *in_.at == '"' && in_.string(model_, model_text_);
      case Kind::version: return has_version_ = version_value();
      case Kind::id:
      case Kind::wide_id: return identity(place, depth);
      case Kind::stranger: return in_.skip(depth);
      case Kind::never: return false;
      case Kind::node: break;
    }
    if (*in_.at != '{' || depth >= MAX_DEPTH) return false;
    const Node& node = *place.entry->node;
    required_ += node.required;
    return object(node, depth + 1);
  }

  DRIFTD_INLINE void put(int slot, double value) {
    columns_.numbers[slot * columns_.rows + row_] = value;
    if (static_cast<size_t>(slot) < bounded_ && !shape_.bounds[slot].holds(value))
      suspect_number(slot, value);
    ++filled_;
  }

  void put_code(int slot, int32_t code) {
    columns_.codes[slot * columns_.rows + row_] = code;
    ++filled_;
  }

  bool with(int slot, double value) {
    put(slot, value);
    return true;
  }

  bool flag(int slot, double value) {
    put(slot, value);
    if (static_cast<size_t>(slot) < shape_.bounds.size() && shape_.bounds[slot].flags && shape_.bounds[slot].holds(value))
      suspect(suspects_.others, slot);
    return true;
  }

  bool without(int slot, Reason reason, double value = NOT_A_NUMBER) {
    const Counted of = slot == shape_.latency ? of_latency : slot < shape_.features ? of_features : of_labels;
    ++counts_[of * reasons + reason];
    lacks_ = true;
    put(slot, value);
    return true;
  }

  bool without_code(int slot, Reason reason) {
    const Counted of = slot == shape_.error ? of_error : slot < shape_.coded ? of_features : of_labels;
    ++counts_[of * reasons + reason];
    lacks_ = true;
    put_code(slot, shape_.categories[slot].unseen + 1);
    return true;
  }

  DRIFTD_APART void suspect_number(int slot, double value) {
    suspect(is_nothing(value) ? suspects_.lacking : suspects_.others, slot);
  }

  void suspect(std::vector<int64_t>& cells, int slot) { cells.push_back((static_cast<int64_t>(slot) << 32) + row_); }

  // Whether there is no number, nor anything else in its place.
  static bool is_nothing(double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return std::isnan(value) && bits != UNUSABLE_BITS;
  }

  static double unusable() {
    double value;
    std::memcpy(&value, &UNUSABLE_BITS, sizeof value);
    return value;
  }

  bool number(int slot, int depth) {
    Number found;
    string_view text;
    switch (*in_.at) {
      case 'n': return in_.literal("null") && without(slot, missing);
      case 't': return in_.literal("true") && flag(slot, 1);
      case 'f': return in_.literal("false") && flag(slot, 0);
      case '"': return in_.string(text, scratch_) && without(slot, number_as_text, unusable());
      case '{':
      case '[': return in_.skip(depth) && without(slot, wrong_type, unusable());
      case 'N': return in_.literal("NaN") && without(slot, non_finite);
      case 'I': return in_.literal("Infinity") && without(slot, non_finite, INFINITE);
      default: break;
    }
    if (in_.at[0] == '-' && in_.at[1] == 'I') return in_.literal("-Infinity") && without(slot, non_finite, -INFINITE);
    const bool negative = *in_.at == '-';
    if (in_.number(found)) return with(slot, found.value);
    return found.beyond && without(slot, non_finite, negative ? -INFINITE : INFINITE);
  }

  bool category(int slot, int depth) {
    Number found;
    string_view text;
    switch (*in_.at) {
      case 'n': return in_.literal("null") && without_code(slot, missing) && watched(slot, nothing_kept);
      case 't': return in_.literal("true") && coded(slot, "true") && watched(slot, truth_kept("true"));
      case 'f': return in_.literal("false") && coded(slot, "false") && watched(slot, truth_kept("false"));
      case '"': return in_.string(text, scratch_) && coded(slot, text) && watched(slot, text_kept(text));
      case '{':
      case '[':  // an error may be an object: whether it holds anything is decided elsewhere
        return slot != shape_.error && in_.skip(depth) && without_code(slot, wrong_type) && watched(slot, none_kept);
      case 'N': return in_.literal("NaN") && without_code(slot, non_finite) && watched(slot, none_kept);
      case 'I': return in_.literal("Infinity") && without_code(slot, non_finite) && watched(slot, none_kept);
      default: break;
    }
    if (in_.at[0] == '-' && in_.at[1] == 'I')
      return in_.literal("-Infinity") && without_code(slot, non_finite) && watched(slot, none_kept);
    return canonical(found, text) && coded(slot, text) && watched(slot, number_kept(found, text));
  }

  bool coded(int slot, string_view text) {
    const Categories& categories = shape_.categories[slot];
    const int32_t code = categories.codes.find(text);
    put_code(slot, code < 0 ? categories.unseen : code);
    return true;
  }

  // A number as the text under which it is counted as a category; false where only Python knows.
  bool canonical(Number& found, string_view& text) {
    return in_.number(found) && driftd::canonical(found, digits_, text);
  }

  bool identified(const Place& place, string_view text) {
    columns_.ids[place.slot * columns_.rows + row_] = hash_id(text);
    if (place.kind == Kind::wide_id) columns_.ids[(place.slot + 1) * columns_.rows + row_] = hash_id(text, SECOND);
    return true;
  }

  bool identity(const Place& place, int depth) {
    Number found;
    string_view text;
    switch (*in_.at) {
      case 'n': return in_.literal("null");
      case 't': return in_.literal("true") && identified(place, "true") && watched(place, truth_kept("true"));
      case 'f': return in_.literal("false") && identified(place, "false") && watched(place, truth_kept("false"));
      case '"': return in_.string(text, scratch_) && identified(place, text) && watched(place, text_kept(text));
      case '{':
      case '[': return in_.skip(depth) && watched(place, none_kept);
      case 'N': return in_.literal("NaN") && watched(place, none_kept);
      case 'I': return in_.literal("Infinity") && watched(place, none_kept);
      default: break;
    }
    if (in_.at[0] == '-' && in_.at[1] == 'I') return in_.literal("-Infinity") && watched(place, none_kept);
    return canonical(found, text) && identified(place, text) && watched(place, number_kept(found, text));
  }

  // --- what a contract asks of categories and ids ---

  // Notes what does not surely keep the rules of its column.
  template <typename Kept>
  bool watched(size_t slot, Kept kept) {
    if (slot < shape_.keeping.size() && shape_.keeping[slot] && !kept(*shape_.keeping[slot]))
      suspect(suspects_.others, static_cast<int>(shape_.numbers + slot));
    return true;
  }

  // The same of the id of a row; what it belongs to is not looked at.
  template <typename Kept>
  bool watched(const Place& place, Kept kept) {
    if (place.slot != 0) return true;
    has_id_ = true;
    return watched(shape_.categories.size(), kept);
  }

  bool version_value() {
    if (*in_.at == 'n') return in_.literal("null");
    if (*in_.at == '"') return in_.string(version_, version_text_);
    Number found;
    if (!canonical(found, version_)) return false;
    version_text_ = version_;  // digits_ may be written again before the message ends
    version_ = version_text_;
    return true;
  }

  bool timestamp() {
    if (*in_.at == '"') {
      string_view text;
      return in_.string(text, scratch_) && driftd::rfc3339(text, time_) && in_bounds();
    }
    Number found;
    return in_.number(found) && driftd::epoch(found, unit_, time_) && in_bounds();
  }

  bool in_bounds() const { return time_ >= EARLIEST && time_ <= latest_; }

  // Absent features are missing.
  void fill() {
    for (size_t id = NEVER + 1; id < shape_.ids; ++id) {
      const Place& place = places_[id];
      if (place.said == message_) continue;
      if (place.kind == Kind::number) without(place.slot, missing);
      if (place.kind == Kind::category) without_code(place.slot, missing) && watched(place.slot, nothing_kept);
    }
  }

  const Shape& shape_;
  const Columns columns_;
  const int64_t unit_, latest_;
  const size_t bounded_;  // slots of numbers, the first ones
  std::vector<Place> places_;  // those of the shape, then of strangers
  std::array<uint32_t, STRANGERS> strangers_{};
  uint32_t message_ = 0;
  Cursor in_{nullptr, nullptr};
  ptrdiff_t row_ = 0;
  Suspects suspects_;
  std::pair<size_t, size_t> before_;  // how many there were before this message
  size_t filled_ = 0, required_ = 0;
  int64_t counts_[counted * reasons] = {};
  bool lacks_ = false;  // whether any of these is not 0
  int64_t time_ = 0;
  bool has_time_ = false, has_model_ = false, has_version_ = false, has_id_ = false;
  const Routes* until_known_ = nullptr;
  string_view model_, version_;
  string scratch_, model_text_, version_text_;
  char digits_[LONGEST_NUMBER] = {};
};

class Router {
 public:
  explicit Router(const Routes& routes) : routes_(routes) {}

  // The series of a model's version. Runs of events of one series are common, so the last answer is tried first.
  int32_t find(string_view model, string_view version) {
    if (asked_ && model == model_ && version == version_) return series_;
    model_ = model;
    version_ = version;
    asked_ = true;
    return series_ = routes_.find(model, version);
  }

 private:
  const Routes& routes_;
  bool asked_ = false;
  string model_, version_;
  int32_t series_ = UNMONITORED;
};

}  // namespace driftd
