// Through a JSON message from object to object. Knows nothing of Python.
#pragma once

#include "../json/_json.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace driftd {

// Whose it is (`Self`) is told of each member by `member(key, depth, object)`, which goes past its value, by `value` if by nothing else, or
// refuses. A key that is written with escapes is refused. A NUL stands at `end`.
template <typename Self>
class Walk {
 protected:
  Walk(const char* begin, const char* end) : cursor_(begin, end), begin_(begin), end_(end) {}

  // Past an object and nothing else.
  bool whole() { return header() && cursor_.ends(); }

  // Past an object, whatever is behind it.
  bool header() {
    cursor_.space();
    return *cursor_.at == '{' && object(1);
  }

  bool value(int depth) {
    if (*cursor_.at == '{') return depth < MAX_DEPTH && object(depth + 1);
    if (*cursor_.at == '[') return depth < MAX_DEPTH && list(depth + 1);
    return cursor_.skip(depth);
  }

  // Whether a text lies in the message as it is meant.
  bool plain(std::string_view text) const { return text.data() >= begin_ && text.data() <= end_; }

  Cursor cursor_;
  const char* const begin_;
  const char* const end_;
  size_t objects_ = 0;

 private:
  bool object(int depth) {
    const size_t number = objects_++;
    std::string scratch;
    cursor_.step();
    if (*cursor_.at == '}') return cursor_.pass();
    for (;;) {
      std::string_view key;
      if (*cursor_.at != '"' || !cursor_.string(key, scratch) || !plain(key) || !cursor_.colon()) return false;
      if (!static_cast<Self*>(this)->member(key, depth, number)) return false;
      cursor_.space();
      if (*cursor_.at == '}') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }

  bool list(int depth) {
    cursor_.step();
    if (*cursor_.at == ']') return cursor_.pass();
    for (;;) {
      if (!value(depth)) return false;
      cursor_.space();
      if (*cursor_.at == ']') return cursor_.pass();
      if (*cursor_.at != ',') return false;
      cursor_.step();
    }
  }
};

}  // namespace driftd
