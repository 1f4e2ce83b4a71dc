// Record batches of Arrow's IPC where they lie, to columns: those whose metadata differ from ones that Arrow itself has read in numbers alone.
//
// A layout holds the bytes of a schema and of the metadata of one batch of it, with the places of what may differ: lengths, counts of
// missing values, offsets. What is accepted here Arrow's own validation would accept (Columnar format 1.5); all else is left to it.
// Nothing here knows of Python.
#pragma once

#include "../../_messages.hpp"
#include "../../_splitting.hpp"
#include "../json/_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace driftd::arrow {

enum class Type : uint8_t { structure, truth, integer, natural, single, real, time, fixed, text, wide_text, bytes, wide_bytes, types };

constexpr int ABSENT = -1;  // in place of a column
constexpr size_t FRAME = 8;  // bytes: a mark, and the size of the metadata
constexpr size_t PAIR = 16;  // bytes: two numbers of a column, or of a buffer
constexpr int64_t WORD = 8;  // bytes of a value once it is read
constexpr int64_t MOST_ROWS = int64_t{1} << 32;

inline bool is_text(Type type) { return type == Type::text || type == Type::wide_text; }
inline bool has_offsets(Type type) { return type >= Type::text; }
inline bool is_wide(Type type) { return type == Type::wide_text || type == Type::wide_bytes; }

template <typename T>
T load(const char* at) {
  T found;
  std::memcpy(&found, at, sizeof found);
  return found;
}

// A column of a schema, in the order of a batch's nodes: bytes of a value, or nanoseconds of a time; the struct it lies in.
struct Column {
  Type type;
  int64_t width;
  int parent;
  size_t buffer = 0;  // its first

  size_t buffers() const { return type == Type::structure ? 1 : has_offsets(type) ? 3 : 2; }
};

// Ids of one kind: their column, and whether more bits of them are wanted.
struct Identity {
  int column;
  bool second;
};

// The columns of a series, by its slots.
struct Wanted {
  std::vector<int> numbers, categories;
  std::vector<Identity> ids;
  const Shape* shape = nullptr;
};

struct Layout {
  std::string schema, metadata;
  size_t body_at = 0, rows_at = 0, nodes_at = 0, buffers_at = 0;
  std::vector<Column> columns;
  int time = ABSENT, model = ABSENT, version = ABSENT;
  int64_t unit = 1;  // nanoseconds of a whole number that is a time
  bool modelless = false;
  std::vector<int> required;  // structs without which a row is none
  std::vector<Wanted> series;
  const Routes* routes = nullptr;

  // To be called when all is there; false: it makes no sense.
  bool finish() {
    size_t buffers = 0;
    for (size_t at = 0; at < columns.size(); ++at) {
      Column& column = columns[at];
      if (column.type >= Type::types || column.parent >= static_cast<int>(at) || column.parent < ABSENT) return false;
      if (column.parent != ABSENT && columns[column.parent].type != Type::structure) return false;
      if (column.width < 0 || column.width > (int64_t{1} << 31) || (column.type == Type::integer && !is_size(column.width))) return false;
      if (column.type == Type::natural && !is_size(column.width)) return false;
      column.buffer = buffers;
      buffers += column.buffers();
    }
    if (metadata.empty() || metadata.size() > INT32_MAX || columns.empty()) return false;
    changing_ = {{body_at, 8}, {rows_at, 8}, {nodes_at, PAIR * columns.size()}, {buffers_at, PAIR * buffers}};
    std::sort(changing_.begin(), changing_.end());
    size_t from = 0;
    for (const auto& [at, size] : changing_) {
      if (at < from || at > metadata.size() || metadata.size() - at < size) return false;
      from = at + size;
    }
    return names_columns();
  }

  // Whether metadata differ from those that are known in numbers alone.
  bool is_like(const char* other) const {
    size_t from = 0;
    for (const auto& [at, size] : changing_) {
      if (std::memcmp(metadata.data() + from, other + from, at - from) != 0) return false;
      from = at + size;
    }
    return std::memcmp(metadata.data() + from, other + from, metadata.size() - from) == 0;
  }

 private:
  static bool is_size(int64_t width) { return width == 1 || width == 2 || width == 4 || width == 8; }

  bool has(int column) const { return column >= ABSENT && column < static_cast<int>(columns.size()); }

  bool names_columns() const {
    bool sound = has(time) && time != ABSENT && has(model) && has(version) && unit > 0;
    for (const int column : required) sound = sound && has(column) && column != ABSENT;
    for (const Wanted& wanted : series) {
      for (const int column : wanted.numbers) sound = sound && has(column);
      for (const int column : wanted.categories) sound = sound && has(column);
      for (const Identity& identity : wanted.ids) sound = sound && has(identity.column);
      sound = sound && wanted.shape != nullptr && wanted.shape->categories.size() >= wanted.categories.size();
    }
    return sound;
  }

  std::vector<std::pair<size_t, size_t>> changing_;
};

// One batch: its metadata, and the bytes of its buffers.
class Batch {
 public:
  Batch(const Layout& layout, const char* metadata, const char* body, int64_t size)
      : layout_(layout), metadata_(metadata), body_(body), size_(size), rows_(load<int64_t>(metadata + layout.rows_at)) {}

  int64_t rows() const { return rows_; }

  // Whether its numbers lead nowhere outside of it, and nothing in it is other than it should be. What texts hold is `sound`.
  bool fits() const {
    if (rows_ <= 0 || rows_ > MOST_ROWS) return false;
    for (size_t at = 0; at < layout_.columns.size(); ++at)
      if (!fits(at)) return false;
    return true;
  }

  // Whether what is missing is as much as is said, and texts are in order, and UTF-8. Of a batch that fits.
  bool sound() const {
    for (size_t at = 0; at < layout_.columns.size(); ++at) {
      const Column& column = layout_.columns[at];
      if (missing(at) > 0 && present(at) != rows_ - missing(at)) return false;
      if (has_offsets(column.type) && !(is_wide(column.type) ? sound<int64_t>(at) : sound<int32_t>(at))) return false;
    }
    return true;
  }

  // Bytes it takes once it is read, however it is read.
  int64_t takes() const { return WORD * rows_ * static_cast<int64_t>(1 + layout_.columns.size()); }

  bool lacks(int column) const {
    for (; column != ABSENT; column = layout_.columns[column].parent)
      if (missing(column) > 0) return true;
    return false;
  }

  // Whether a value is there, and all structs that it lies in.
  bool is_there(int column, int64_t row) const {
    for (; column != ABSENT; column = layout_.columns[column].parent)
      if (missing(column) > 0 && !bit(buffer(layout_.columns[column].buffer), row)) return false;
    return true;
  }

  const char* values(int column) const { return buffer(layout_.columns[column].buffer + 1); }

  bool truth(int column, int64_t row) const { return bit(values(column), row); }

  int64_t integer(int column, int64_t row) const {
    const char* const at = values(column) + row * layout_.columns[column].width;
    switch (layout_.columns[column].width) {
      case 1: return load<int8_t>(at);
      case 2: return load<int16_t>(at);
      case 4: return load<int32_t>(at);
      default: return load<int64_t>(at);
    }
  }

  uint64_t natural(int column, int64_t row) const {
    const char* const at = values(column) + row * layout_.columns[column].width;
    switch (layout_.columns[column].width) {
      case 1: return load<uint8_t>(at);
      case 2: return load<uint16_t>(at);
      case 4: return load<uint32_t>(at);
      default: return load<uint64_t>(at);
    }
  }

  std::string_view text(int column, int64_t row) const {
    const char* const data = buffer(layout_.columns[column].buffer + 2);
    const auto [begin, end] = ends(column, row);
    return {data + begin, static_cast<size_t>(end - begin)};
  }

  // Whether a column is one and the same text in all rows.
  bool is_one_text(int column) const {
    if (!arrow::is_text(type(column)) || lacks(column)) return false;
    const auto [begin, first_end] = ends(column, 0);
    const int64_t size = first_end - begin, total = ends(column, rows_ - 1).second - begin;
    if (total != size * rows_) return false;
    for (int64_t row = 1; row < rows_; ++row)
      if (ends(column, row).first != begin + row * size) return false;
    const char* const data = buffer(layout_.columns[column].buffer + 2) + begin;
    return total == 0 || std::memcmp(data, data + size, static_cast<size_t>(total - size)) == 0;
  }

  Type type(int column) const { return layout_.columns[column].type; }
  int64_t width(int column) const { return layout_.columns[column].width; }

 private:
  static bool bit(const char* bits, int64_t row) { return (static_cast<unsigned char>(bits[row >> 3]) >> (row & 7) & 1) != 0; }

  int64_t node(size_t column, size_t number) const { return load<int64_t>(metadata_ + layout_.nodes_at + PAIR * column + 8 * number); }
  int64_t missing(size_t column) const { return node(column, 1); }
  int64_t begin(size_t buffer) const { return load<int64_t>(metadata_ + layout_.buffers_at + PAIR * buffer); }
  int64_t length(size_t buffer) const { return load<int64_t>(metadata_ + layout_.buffers_at + PAIR * buffer + 8); }
  const char* buffer(size_t number) const { return body_ + begin(number); }

  std::pair<int64_t, int64_t> ends(int column, int64_t row) const {
    const char* const at = values(column);
    if (is_wide(layout_.columns[column].type)) return {load<int64_t>(at + 8 * row), load<int64_t>(at + 8 * row + 8)};
    return {load<int32_t>(at + 4 * row), load<int32_t>(at + 4 * row + 4)};
  }

  bool fits(size_t at) const {
    const Column& column = layout_.columns[at];
    if (node(at, 0) != rows_ || missing(at) < 0 || missing(at) > rows_) return false;
    for (size_t buffer = column.buffer; buffer < column.buffer + column.buffers(); ++buffer)
      if (begin(buffer) < 0 || begin(buffer) % 8 != 0 || length(buffer) < 0 || begin(buffer) > size_ || length(buffer) > size_ - begin(buffer))
        return false;
    if (missing(at) > 0 && length(column.buffer) < (rows_ + 7) / 8) return false;
    return column.type == Type::structure || length(column.buffer + 1) >= least(column);
  }

  // Bytes of its values, or of its offsets.
  int64_t least(const Column& column) const {
    if (column.type == Type::truth) return (rows_ + 7) / 8;
    if (has_offsets(column.type)) return (rows_ + 1) * (is_wide(column.type) ? 8 : 4);
    return rows_ * (column.type == Type::time || column.type == Type::real ? 8 : column.type == Type::single ? 4 : column.width);
  }

  int64_t present(size_t column) const {
    const char* const bits = buffer(layout_.columns[column].buffer);
    int64_t found = 0, row = 0;
    for (; row + 64 <= rows_; row += 64) found += __builtin_popcountll(load<uint64_t>(bits + row / 8));
    for (; row < rows_; ++row) found += bit(bits, row);
    return found;
  }

  template <typename Offset>
  bool sound(size_t at) const {
    const Column& column = layout_.columns[at];
    const char *const offsets = buffer(column.buffer + 1), *const data = buffer(column.buffer + 2);
    const auto offset = [offsets](int64_t row) { return load<Offset>(offsets + row * static_cast<int64_t>(sizeof(Offset))); };
    bool falls = false;
    for (int64_t row = 0; row < rows_; ++row) falls |= offset(row + 1) < offset(row);
    const int64_t first = offset(0), last = offset(rows_);
    if (falls || first < 0 || last > length(column.buffer + 2)) return false;
    if (!is_text(column.type) || is_ascii(data + first, data + last)) return true;
    for (int64_t row = 0; row < rows_; ++row)
      if ((missing(at) == 0 || bit(buffer(column.buffer), row)) && !is_utf8(data + offset(row), data + offset(row + 1))) return false;
    return true;
  }

  static bool is_ascii(const char* at, const char* end) {
    uint64_t seen = 0;
    for (; end - at >= 8; at += 8) seen |= load<uint64_t>(at);
    for (; at != end; ++at) seen |= static_cast<unsigned char>(*at);
    return (seen & 0x8080808080808080u) == 0;
  }

  const Layout& layout_;
  const char *metadata_, *body_;
  int64_t size_, rows_;
};

// Calls `each` with the batches of a message; false: it is no stream of this layout, or `each` said so.
template <typename Each>
bool each_batch(const Layout& layout, const Value& message, Each each) {
  const size_t head = layout.schema.size();
  if (message.size < head || std::memcmp(message.data, layout.schema.data(), head) != 0) return false;
  const char *at = message.data + head, *const end = message.data + message.size;
  bool any = false;
  while (at != end) {
    if (end - at < static_cast<ptrdiff_t>(FRAME) || load<uint32_t>(at) != 0xFFFFFFFFu) return false;
    const auto size = load<int32_t>(at + 4);
    at += FRAME;
    if (size == 0) return any && at == end;
    if (size < 0 || static_cast<size_t>(size) != layout.metadata.size() || end - at < size || !layout.is_like(at)) return false;
    const auto body = load<int64_t>(at + layout.body_at);
    if (body < 0 || body > end - at - size) return false;
    if (!each(Batch(layout, at, at + size, body))) return false;
    any = true;
    at += size + body;
  }
  return any;
}

// --- columns ----------------------------------------------------------------------------------------------------------

constexpr size_t LONGEST_WHOLE = 20;  // characters of a whole number of 64 bits

// A text, or a whole number or truth value as the text under which it is counted; of a value that is there.
inline std::string_view text_of(const Batch& batch, int column, int64_t row, char (&room)[LONGEST_WHOLE]) {
  switch (batch.type(column)) {
    case Type::truth: return batch.truth(column, row) ? "true" : "false";
    case Type::integer: return {room, static_cast<size_t>(std::to_chars(room, room + LONGEST_WHOLE, batch.integer(column, row)).ptr - room)};
    case Type::natural: return {room, static_cast<size_t>(std::to_chars(room, room + LONGEST_WHOLE, batch.natural(column, row)).ptr - room)};
    case Type::text:
    case Type::wide_text: return batch.text(column, row);
    default: return {};
  }
}

// Rows of a batch, behind each other, to places behind each other in the columns of their series.
class Filler {
 public:
  Filler(const Layout& layout, const Wanted& wanted, const Columns& columns, int64_t* counts)
      : layout_(layout), wanted_(wanted), columns_(columns), counts_(counts) {}

  void fill(const Batch& batch, int64_t from, int64_t count, int64_t to) {
    int64_t* counts = counts_;
    for (size_t slot = 0; slot < wanted_.numbers.size(); ++slot, counts += reasons)
      numbers(batch, wanted_.numbers[slot], from, count, columns_.numbers + static_cast<int64_t>(slot) * columns_.rows + to, counts);
    for (size_t slot = 0; slot < wanted_.categories.size(); ++slot, counts += reasons)
      codes(batch, wanted_.categories[slot], wanted_.shape->categories[slot], from, count,
            columns_.codes + static_cast<int64_t>(slot) * columns_.rows + to, counts);
    for (size_t slot = 0; slot < wanted_.ids.size(); ++slot)
      ids(batch, wanted_.ids[slot], from, count, columns_.ids + static_cast<int64_t>(slot) * columns_.rows + to);
  }

 private:
  static void numbers(const Batch& batch, int column, int64_t from, int64_t count, double* found, int64_t* counts) {
    if (column == ABSENT) {
      std::fill(found, found + count, NOT_A_NUMBER);
      counts[missing] += count;
      return;
    }
    const int64_t width = batch.width(column);
    const char* const values = batch.values(column);
    switch (batch.type(column)) {
      case Type::real: std::memcpy(found, values + 8 * from, static_cast<size_t>(8 * count)); break;
      case Type::single: widened<float>(values, from, count, found); break;
      case Type::truth:
        for (int64_t row = 0; row < count; ++row) found[row] = batch.truth(column, from + row);
        break;
      case Type::integer: width == 1 ? widened<int8_t>(values, from, count, found) : width == 2 ? widened<int16_t>(values, from, count, found)
                        : width == 4 ? widened<int32_t>(values, from, count, found) : widened<int64_t>(values, from, count, found); break;
      case Type::natural: width == 1 ? widened<uint8_t>(values, from, count, found) : width == 2 ? widened<uint16_t>(values, from, count, found)
                        : width == 4 ? widened<uint32_t>(values, from, count, found) : widened<uint64_t>(values, from, count, found); break;
      default: return unusable(batch, column, from, count, found, counts);
    }
    if (batch.lacks(column))
      for (int64_t row = 0; row < count; ++row)
        if (!batch.is_there(column, from + row)) found[row] = NOT_A_NUMBER;
    count_odd(found, count, counts);
  }

  template <typename T>
  static void widened(const char* values, int64_t from, int64_t count, double* found) {
    const char* at = values + from * static_cast<int64_t>(sizeof(T));
    for (int64_t row = 0; row < count; ++row) found[row] = static_cast<double>(load<T>(at + row * static_cast<int64_t>(sizeof(T))));
  }

  // Texts for numbers.
  static void unusable(const Batch& batch, int column, int64_t from, int64_t count, double* found, int64_t* counts) {
    const auto none = load<double>(reinterpret_cast<const char*>(&UNUSABLE_BITS));
    for (int64_t row = 0; row < count; ++row) {
      const bool there = batch.is_there(column, from + row);
      found[row] = there ? none : NOT_A_NUMBER;
      ++counts[there ? number_as_text : missing];
    }
  }

  // Counts what is not finite; of NaNs, whose bits may be those of UNUSABLE, it makes one. One look at all of the exponents says whether there is any.
  static void count_odd(double* found, int64_t count, int64_t* counts) {
    constexpr uint64_t EXPONENT = 0x7FF0000000000000u, LAST = 0x0010000000000000u;
    uint64_t carried = 0;
    for (int64_t row = 0; row < count; ++row)
      carried |= (load<uint64_t>(reinterpret_cast<const char*>(found + row)) & EXPONENT) + LAST;
    if (carried >> 63 == 0) return;
    for (int64_t row = 0; row < count; ++row) {
      if (std::isnan(found[row])) {
        found[row] = NOT_A_NUMBER;
        ++counts[missing];
      } else if (std::isinf(found[row])) {
        ++counts[non_finite];
      }
    }
  }

  static void codes(const Batch& batch, int column, const Categories& categories, int64_t from, int64_t count, int32_t* found,
                    int64_t* counts) {
    if (column == ABSENT) {
      std::fill(found, found + count, categories.unseen + 1);
      counts[missing] += count;
      return;
    }
    char room[LONGEST_WHOLE];
    const bool lacks = batch.lacks(column);
    for (int64_t row = 0; row < count; ++row) {
      if (lacks && !batch.is_there(column, from + row)) {
        found[row] = categories.unseen + 1;
        ++counts[missing];
        continue;
      }
      const int32_t code = categories.codes.find(text_of(batch, column, from + row, room));
      found[row] = code < 0 ? categories.unseen : code;
    }
  }

  static void ids(const Batch& batch, const Identity& identity, int64_t from, int64_t count, uint64_t* found) {
    char room[LONGEST_WHOLE];
    const int column = identity.column;
    for (int64_t row = 0; row < count; ++row) {
      const bool there = column != ABSENT && batch.is_there(column, from + row);
      found[row] = there ? hash_id(text_of(batch, column, from + row, room), identity.second ? SECOND : FIRST) : 0;
    }
  }

  const Layout& layout_;
  const Wanted& wanted_;
  const Columns columns_;
  int64_t* counts_;
};

// Brings the rows of one series in a message to its columns, from place `to` on; returns the next place, or -1 where there is no room.
inline int64_t fill_message(const Layout& layout, const Value& message, int32_t series, const int32_t* owners, Filler& filler, int64_t to,
                            int64_t room) {
  each_batch(layout, message, [&](const Batch& batch) {
    for (int64_t row = 0; row < batch.rows();) {
      const int64_t first = row;
      while (row < batch.rows() && owners[row] == series) ++row;
      if (row > first) {
        if (to + row - first > room) return to = -1, false;
        filler.fill(batch, first, row - first, to);
        to += row - first;
      }
      while (row < batch.rows() && owners[row] != series) ++row;
    }
    owners += batch.rows();
    return true;
  });
  return to;
}

}  // namespace driftd::arrow
