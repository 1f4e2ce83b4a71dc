// The event time and the series of each row of a batch, or why it has none: as `mapping.py` tells it of the rows that Arrow reads.
#pragma once

#include "_batches.hpp"

namespace driftd::arrow {

constexpr int32_t LEFT = ODD, REFUSED = ODD - 1;  // in place of a series: of a message that is left, of a row that has none
constexpr int64_t NO_TIME = INT64_MIN;
constexpr int64_t LATEST = INT64_MAX, LAST_SECOND = LATEST / 1'000'000'000 * 1'000'000'000;

enum Refusal : size_t { no_model, no_time, odd_time, early, late, no_features, refusals };  // REFUSALS in scanning.py

// Whether a text is surely none that `parse_time` (values.py) reads: it begins with no day. What begins with a space may.
inline bool begins_with_no_day(std::string_view text) {
  static constexpr std::string_view DAY = "0000-00-00";
  if (!text.empty() && (text[0] <= ' ' || text[0] >= 0x7F)) return false;
  if (text.size() < DAY.size()) return true;
  for (size_t at = 0; at < DAY.size(); ++at)
    if (DAY[at] == '0' ? !is_digit(text[at]) : text[at] != DAY[at]) return true;
  return false;
}

// The rows of one message; `refused` counts those that are none.
class Placer {
 public:
  Placer(const Layout& layout, int64_t latest) : layout_(layout), latest_(latest), router_(*layout.routes) {}

  // False: some row has a time that only Python can judge.
  bool place(const Batch& batch, int64_t* times, int32_t* owners) {
    tell_owners(batch, owners);
    if (!tell_times(batch, times, owners)) return false;
    for (const int column : layout_.required)
      for (int64_t row = 0; batch.lacks(column) && row < batch.rows(); ++row)
        if (owners[row] >= 0 && !batch.is_there(column, row)) refuse(owners[row], no_features);
    return true;
  }

  int64_t refused[refusals] = {};

 private:
  void refuse(int32_t& owner, Refusal why) {
    if (owner == REFUSED) return;
    owner = REFUSED;
    ++refused[why];
  }

  void tell_owners(const Batch& batch, int32_t* owners) {
    char room[LONGEST_WHOLE];
    const auto is_one = [&](int column) { return column == ABSENT || batch.is_one_text(column); };
    const int64_t told = is_one(layout_.model) && is_one(layout_.version) ? 1 : batch.rows();  // as a rule a batch is of one model
    for (int64_t row = 0; row < told; ++row) {
      const bool named = layout_.model != ABSENT && batch.is_there(layout_.model, row);
      const std::string_view model = named ? batch.text(layout_.model, row) : UNNAMED;
      const bool versioned = layout_.version != ABSENT && batch.is_there(layout_.version, row);
      const std::string_view version = versioned ? text_of(batch, layout_.version, row, room) : std::string_view();
      owners[row] = named || layout_.modelless ? router_.find(model, version) : REFUSED;
    }
    std::fill(owners + told, owners + batch.rows(), owners[0]);
    if (!layout_.modelless) refused[no_model] += std::count(owners, owners + batch.rows(), REFUSED);
  }

  bool tell_times(const Batch& batch, int64_t* times, int32_t* owners) {
    const int column = layout_.time;
    const int64_t unit = layout_.unit;
    switch (batch.type(column)) {
      case Type::time:
        return whole(batch, times, owners, batch.width(column), [&](int64_t row) { return load<int64_t>(batch.values(column) + 8 * row); });
      case Type::integer: return whole(batch, times, owners, unit, [&](int64_t row) { return batch.integer(column, row); });
      case Type::natural:
        return whole(batch, times, owners, unit, [&](int64_t row) {
          return static_cast<int64_t>(std::min<uint64_t>(batch.natural(column, row), INT64_MAX));
        });
      case Type::text:
      case Type::wide_text: return written(batch, times, owners);
      default: return false;
    }
  }

  template <typename Of>
  bool whole(const Batch& batch, int64_t* times, int32_t* owners, int64_t unit, Of of) {
    const bool of_time = batch.type(layout_.time) == Type::time, lacks = batch.lacks(layout_.time);
    const int64_t least = (EARLIEST + unit - 1) / unit, most = (of_time ? std::min(latest_, LAST_SECOND - 1) : latest_) / unit;
    bool valid = !lacks;
    for (int64_t row = 0; row < batch.rows(); ++row) {
      const int64_t found = of(row);
      const bool is_valid = found >= least && found <= most;
      times[row] = is_valid ? found * unit : NO_TIME;
      valid = valid && is_valid;
    }
    if (valid) return true;
    if (latest_ == LATEST) return false;  // a number beyond is the latest time there is
    for (int64_t row = 0; row < batch.rows(); ++row) {
      if ((lacks && !batch.is_there(layout_.time, row)) || (of_time && of(row) == NO_TIME)) refuse(owners[row], no_time);
      else if (times[row] == NO_TIME) refuse(owners[row], of(row) < least ? early : late);
    }
    return true;
  }

  bool written(const Batch& batch, int64_t* times, int32_t* owners) {
    const bool lacks = batch.lacks(layout_.time);
    for (int64_t row = 0; row < batch.rows(); ++row) {
      if (owners[row] == REFUSED) continue;
      const bool there = !lacks || batch.is_there(layout_.time, row);
      const std::string_view text = there ? batch.text(layout_.time, row) : std::string_view();
      if (!there) refuse(owners[row], no_time);
      else if (rfc3339(text, times[row])) {
        if (times[row] < EARLIEST) refuse(owners[row], early);
        else if (times[row] > latest_) refuse(owners[row], late);
      } else if (begins_with_no_day(text)) refuse(owners[row], odd_time);
      else return false;
    }
    return true;
  }

  const Layout& layout_;
  const int64_t latest_;
  Router router_;
};

}  // namespace driftd::arrow
