// Events that are woven read value by value (HOT), as if they were written out. Knows nothing of Python.
//
//   {"ts": ___, "model": "churn", "features": {"age": ___, "plan": ___}}
//
// Which key each value belongs to is found once for all events that are woven of the same.
#pragma once

#include "../../_woven.hpp"
#include "_reader.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace driftd {

class WovenReader : public Reader {
 public:
  using Reader::Reader;

  // Whether it can be read value by value, as it is until something else is asked for.
  bool knows(const Woven& woven) {
    if (woven_ != &woven) {
      woven_ = &woven;
      understood_ = learn();
    }
    return understood_;
  }

  // The same as `read` of an event of what was asked for last.
  bool read_woven(size_t event, ptrdiff_t row) {
    at_row(row);
    anew();
    required_ = needed_;
    for (const Step& step : steps_) {
      if (!taken(step, event)) {
        forget();
        return false;
      }
    }
    if (!complete()) {
      forget();
      return false;
    }
    return filled();
  }

 private:
  static constexpr size_t SAME = SIZE_MAX;  // in place of a thread

  // A value of a key: of a thread, or the same in all events.
  struct Step {
    uint32_t here;
    int depth;
    size_t thread, begin = 0, end = 0;
  };

  bool taken(const Step& step, size_t event) {
    const char *at, *end;
    if (step.thread == SAME) {
      in_ = Cursor(text_.data(), text_.data() + text_.size());
      at = text_.data() + step.begin;
      end = text_.data() + step.end;
    } else {
      const Thread& thread = woven_->threads[step.thread];
      const Value& found = thread.whole(event);
      in_ = Cursor(thread.held->begin, thread.held->end);
      at = found.data;
      end = at + found.size;
    }
    return value(step.here, step.depth, at) && at == end;
  }

  bool learn() {
    steps_.clear();
    slots_.clear();
    text_.clear();
    needed_ = slot_ = 0;
    for (size_t at = 0; at < woven_->texts.size(); ++at) {
      text_ += woven_->texts[at];
      if (at == woven_->threads.size()) break;
      if (woven_->threads[at].held->begin == nullptr) return false;
      slots_.push_back(text_.size());
      text_ += '0';
    }
    in_ = Cursor(text_.data(), text_.data() + text_.size());
    return *in_.at == '{' && learn_object(shape_.root, 1) && in_.ends() && slot_ == slots_.size() && each_once();
  }

  // Whether no key is said twice: the last one counts, and that is decided elsewhere.
  bool each_once() {
    std::sort(keys_.begin(), keys_.end());
    const bool once = std::adjacent_find(keys_.begin(), keys_.end()) == keys_.end();
    keys_.clear();
    return once;
  }

  bool learn_object(const Node& node, int depth) {
    in_.step();
    if (*in_.at == '}') return in_.pass();
    for (;;) {
      string_view key;
      if (*in_.at != '"' || !in_.string(key, scratch_) || !in_.colon()) return false;
      const int32_t found = node.index.find(key);
      const uint32_t here = found >= 0 ? static_cast<uint32_t>(node.entries[found].id) : stranger(node, key);
      if (found >= 0) keys_.push_back(here);
      if (!learn_value(here, depth)) return false;
      in_.space();
      if (*in_.at == '}') return in_.pass();
      if (*in_.at != ',') return false;
      in_.step();
    }
  }

  bool learn_value(uint32_t here, int depth) {
    const size_t begin = place_of(in_.at);
    const size_t next = slot_ < slots_.size() ? slots_[slot_] : text_.size();
    const bool bare = slot_ < slots_.size() && woven_->threads[slot_].bare;
    if (begin == next) {
      in_.at += 1;
      return !bare && from_thread(here, depth);
    }
    const Place& place = places_[here];
    if (*in_.at == '{' && place.kind == Kind::node && depth < MAX_DEPTH) {
      if (bare && begin + 1 == next && text_[next + 1] == '}') {  // all that is in it
        in_.at += 3;
        return from_thread(here, depth);
      }
      needed_ += place.entry->node->required;
      return learn_object(*place.entry->node, depth + 1);
    }
    if (!in_.skip(depth) || place_of(in_.at) > next) return false;  // a value of an event in what is the same in all
    steps_.push_back({here, depth, SAME, begin, place_of(in_.at)});
    return true;
  }

  bool from_thread(uint32_t here, int depth) {
    steps_.push_back({here, depth, slot_++});
    return true;
  }

  size_t place_of(const char* at) const { return static_cast<size_t>(at - text_.data()); }

  const Woven* woven_ = nullptr;
  bool understood_ = false;
  string text_;                // with a 0 in place of each value that events do not share
  std::vector<size_t> slots_;  // where these stand
  size_t slot_ = 0;            // the next of them
  size_t needed_ = 0;          // objects that have to be there, and are in all events
  std::vector<Step> steps_;
  std::vector<uint32_t> keys_;
};

}  // namespace driftd
