// Whether a message surely holds no features but known ones. Knows nothing of Python.
//
// Who asks reads again whatever may hold others, so that only what is certain is told: a message that is no JSON may.
#pragma once

#include "_json.hpp"
#include "_table.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace driftd {

// The features that all series know, and the keys that lead to their object.
struct Known {
  std::vector<std::string> path;
  Table names;
};

class Knower {
 public:
  explicit Knower(const Known& known) : known_(known) {}

  // A message is followed by a NUL, which stops every loop.
  bool knows_all(const char* begin, const char* end) {
    in_ = Cursor(begin, end, true);
    in_.space();
    return *in_.at == '{' && object(0) && in_.ends();
  }

 private:
  // An object on the way to the features, or theirs. Of a key that is said twice each value is looked at.
  bool object(size_t level) {
    in_.step();
    if (*in_.at == '}') return in_.pass();
    for (;;) {
      std::string_view key;
      if (*in_.at != '"' || !in_.string(key, scratch_)) return false;
      const bool inside = level == known_.path.size();
      if (inside && known_.names.find(key) < 0) return false;
      const bool leads = !inside && key == known_.path[level];
      if (!in_.colon()) return false;
      const int depth = static_cast<int>(level) + 1;
      if (!(leads && *in_.at == '{' && depth < MAX_DEPTH ? object(level + 1) : in_.skip(depth))) return false;
      in_.space();
      if (*in_.at == '}') return in_.pass();
      if (*in_.at != ',') return false;
      in_.step();
    }
  }

  const Known& known_;
  Cursor in_{nullptr, nullptr};
  std::string scratch_;
};

}  // namespace driftd
