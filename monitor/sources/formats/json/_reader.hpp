// One message read against a shape: where it keeps what is wanted, which series it belongs to. Knows nothing of Python.
#pragma once

#include "_hash.hpp"
#include "_keeping.hpp"
#include "_table.hpp"
#include "_times.hpp"

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

constexpr int32_t UNMONITORED = -1, ODD = -2;
constexpr size_t MAX_BYTES = 1 << 20;
constexpr int64_t EARLIEST = 946'684'800'000'000'000;  // 2000-01-01, nanoseconds
constexpr double NOT_A_NUMBER = std::numeric_limits<double>::quiet_NaN();
constexpr uint64_t UNUSABLE_BITS = 0x7FF8000000000001;  // a NaN that says: something is there, but no number (values.py)
constexpr string_view UNNAMED = "\xFF";  // the model of messages that name none: no UTF-8, so none can
constexpr double INFINITE = std::numeric_limits<double>::infinity();

enum class Kind { node, number, category, timestamp, model, version, id, wide_id };
enum Reason { missing, number_as_text, wrong_type, non_finite, reasons };
enum Counted { of_features, of_labels, of_latency, of_error, counted };

struct Node;

struct Entry {
  string key;
  bool plain;  // may be compared with the bytes of a message as it stands
  Kind kind;
  int slot;
  size_t id;
  std::unique_ptr<Node> node;
};

struct Node {
  bool required = false;
  std::vector<Entry> entries;
  Table index;
};

struct Categories {
  Table codes;         // of a category by its own text, and by other spellings of its value
  int32_t unseen = 0;  // the code of what is in none; that of what is missing is next
};

struct Shape {
  Node root;
  std::vector<Categories> categories;  // one a categorical slot
  size_t numbers = 0, ids = 0, required = 0;
  ptrdiff_t identities = 1;  // columns of hashes
  int features = INT_MAX, coded = INT_MAX;  // slots of numbers and categories before those of labels, counted apart
  int latency = -1, error = -1;             // slots of what the request took, and whether it failed: each counted apart
  std::vector<Bounds> bounds;  // of the first slots of numbers; none without a contract
  std::vector<std::unique_ptr<Keeping>> keeping;  // of slots of categories, then of the id; none where nobody asks
  bool envelope = false;   // holds timestamp, model and version
  bool modelless = false;  // messages need not name their model
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
      : shape_(shape), columns_(columns), unit_(unit), latest_(latest), said_(shape.ids, 0) {}

  // Reads a message into the given row; false: odd.
  bool read(const char* begin, const char* end, ptrdiff_t row) {
    row_ = row;
    before_ = {suspects_.lacking.size(), suspects_.others.size()};
    until_known_ = nullptr;
    for (ptrdiff_t slot = 0; columns_.ids && slot < shape_.identities; ++slot) columns_.ids[slot * columns_.rows + row] = 0;
    if (!root(begin, end) || !in_.ends() || required_ != shape_.required || (shape_.envelope && !enveloped())) {
      forget();
      return false;
    }
    if (filled_ != shape_.numbers + shape_.categories.size()) fill(shape_.root);
    return has_id_ || watched(shape_.categories.size(), nothing_kept);
  }

  // Lets go of what the last message has told: its row is used again.
  void forget() {
    suspects_.lacking.resize(before_.first);
    suspects_.others.resize(before_.second);
  }

  // What a contract has to look at.
  const Suspects& suspects() const { return suspects_; }

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
    for (int reason = 0; reason < counted * reasons; ++reason) totals[reason] += counts_[reason];
  }

 private:
  bool root(const char* begin, const char* end) {
    if (end - begin >= 3 && std::memcmp(begin, "\xEF\xBB\xBF", 3) == 0) begin += 3;  // a byte order mark
    in_ = Cursor(begin, end);
    ++message_;
    filled_ = required_ = 0;
    has_time_ = has_model_ = has_version_ = has_id_ = false;
    version_ = {};
    std::fill(counts_, counts_ + counted * reasons, 0);
    in_.space();
    return *in_.at == '{' && object(shape_.root, 1);
  }

  bool enveloped() const { return has_time_ && (has_model_ || shape_.modelless); }

  bool known() const {
    return until_known_ && has_time_ && has_model_ && (has_version_ || !until_known_->by_version(model_));
  }

  bool object(const Node& node, int depth) {
    size_t next = 0;
    in_.step();
    if (*in_.at == '}') return in_.pass();
    for (;;) {
      const Entry* entry = nullptr;
      if (!key(node, next, entry) || !in_.colon()) return false;
      if (entry == nullptr ? !in_.skip(depth) : !take(*entry, depth)) return false;
      if (until_known_ && known()) return true;
      in_.space();
      if (*in_.at == '}') return in_.pass();
      if (*in_.at != ',') return false;
      in_.step();
    }
  }

  // The key at the cursor. Most messages of a topic hold the same keys in the same order, so the next one is tried first.
  bool key(const Node& node, size_t& next, const Entry*& entry) {
    if (*in_.at != '"') return false;
    if (next < node.entries.size() && node.entries[next].plain && in_.quoted(node.entries[next].key)) {
      entry = &node.entries[next++];
      return true;
    }
    string_view text;
    if (!in_.string(text, scratch_)) return false;
    const int32_t found = node.index.find(text);
    if (found >= 0) {
      entry = &node.entries[found];
      next = found + 1;
    }
    return true;
  }

  bool take(const Entry& entry, int depth) {
    if (said_[entry.id] == message_) return false;  // said twice: the last one counts, and that is decided elsewhere
    said_[entry.id] = message_;
    switch (entry.kind) {
      case Kind::number: return number(entry.slot, depth);
      case Kind::category: return category(entry.slot, depth);
      case Kind::timestamp: return has_time_ = timestamp();
      case Kind::model: return has_model_ = *in_.at == '"' && in_.string(model_, model_text_);
      case Kind::version: return has_version_ = version_value();
      case Kind::id:
      case Kind::wide_id: return identity(entry, depth);
      case Kind::node: break;
    }
    if (*in_.at != '{' || depth >= MAX_DEPTH) return false;
    required_ += entry.node->required;
    return object(*entry.node, depth + 1);
  }

  void put(int slot, double value) {
    columns_.numbers[slot * columns_.rows + row_] = value;
    if (static_cast<size_t>(slot) < shape_.bounds.size() && !shape_.bounds[slot].holds(value))
      suspect(is_nothing(value) ? suspects_.lacking : suspects_.others, slot);
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
    put(slot, value);
    return true;
  }

  bool without_code(int slot, Reason reason) {
    const Counted of = slot == shape_.error ? of_error : slot < shape_.coded ? of_features : of_labels;
    ++counts_[of * reasons + reason];
    put_code(slot, shape_.categories[slot].unseen + 1);
    return true;
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
    return in_.number(found) && with(slot, found.value);
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

  bool identified(const Entry& entry, string_view text) {
    columns_.ids[entry.slot * columns_.rows + row_] = hash_id(text);
    if (entry.kind == Kind::wide_id) columns_.ids[(entry.slot + 1) * columns_.rows + row_] = hash_id(text, SECOND);
    return true;
  }

  bool identity(const Entry& entry, int depth) {
    Number found;
    string_view text;
    switch (*in_.at) {
      case 'n': return in_.literal("null");
      case 't': return in_.literal("true") && identified(entry, "true") && watched(entry, truth_kept("true"));
      case 'f': return in_.literal("false") && identified(entry, "false") && watched(entry, truth_kept("false"));
      case '"': return in_.string(text, scratch_) && identified(entry, text) && watched(entry, text_kept(text));
      case '{':
      case '[': return in_.skip(depth) && watched(entry, none_kept);
      case 'N': return in_.literal("NaN") && watched(entry, none_kept);
      case 'I': return in_.literal("Infinity") && watched(entry, none_kept);
      default: break;
    }
    if (in_.at[0] == '-' && in_.at[1] == 'I') return in_.literal("-Infinity") && watched(entry, none_kept);
    return canonical(found, text) && identified(entry, text) && watched(entry, number_kept(found, text));
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
  bool watched(const Entry& entry, Kept kept) {
    if (entry.slot != 0) return true;
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
  void fill(const Node& node) {
    for (const Entry& entry : node.entries) {
      if (entry.kind == Kind::node) fill(*entry.node);
      if (said_[entry.id] == message_) continue;
      if (entry.kind == Kind::number) without(entry.slot, missing);
      if (entry.kind == Kind::category) without_code(entry.slot, missing) && watched(entry.slot, nothing_kept);
    }
  }

  const Shape& shape_;
  const Columns& columns_;
  const int64_t unit_, latest_;
  std::vector<uint64_t> said_;  // the last message that had it, an entry each
  uint64_t message_ = 0;
  Cursor in_{nullptr, nullptr};
  ptrdiff_t row_ = 0;
  Suspects suspects_;
  std::pair<size_t, size_t> before_;  // how many there were before this message
  size_t filled_ = 0, required_ = 0;
  int64_t counts_[counted * reasons] = {};
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
