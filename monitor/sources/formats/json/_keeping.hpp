// What of a value surely keeps the rules of a contract. Who asks reads again whatever else stands there, so that only what is
// certain is decided here. Knows nothing of Python.
#pragma once

#include "_table.hpp"
#include "_times.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace driftd {

constexpr double EXACT = 9007199254740992;  // 2^53: below it a double tells whole numbers apart

// What a number is to lie within; a contract looks at those that do not, and at those that are none.
struct Bounds {
  double least = 0, most = 0;         // above, and not above
  bool whole = false, flags = false;  // whether it is whole; whether truth values are looked at, too
  bool named = false;                 // whether it is one of `values`, which rise
  std::vector<double> values;

  bool holds(double value) const {
    return value > least && value <= most && (!whole || std::nearbyint(value) == value) && (!named || is_named(value));
  }

 private:
  bool is_named(double value) const {
    return std::fabs(value) < EXACT && std::binary_search(values.begin(), values.end(), value);
  }
};

// Cells that a contract has to look at, slot times 2^32 plus row each: slots of numbers, then of categories, then the id.
struct Suspects {
  std::vector<int64_t> lacking;  // numbers that are not there
  std::vector<int64_t> others;   // numbers that are not within their bounds, and what does not surely keep the rules
};

// A regular expression as its table of states: detectors/contract/patterns.py makes it.
class Pattern {
 public:
  Pattern() = default;
  Pattern(std::vector<uint8_t> kinds, std::vector<uint16_t> after, std::vector<uint8_t> ends)
      : kinds_(std::move(kinds)), after_(std::move(after)), ends_(std::move(ends)) {
    width_ = ends_.empty() ? 0 : after_.size() / ends_.size();
  }

  // Whether every letter has its kind, and every state that one leads to is there.
  bool is_whole() const {
    if (ends_.empty()) return kinds_.empty() && after_.empty();
    if (ends_.size() < 2 || kinds_.size() != LETTERS || after_.size() != width_ * ends_.size()) return false;
    for (const uint8_t kind : kinds_)
      if (kind >= width_) return false;
    for (const uint16_t state : after_)
      if (state >= ends_.size()) return false;
    return true;
  }

  // Whether a text matches from end to end as it stands. One that is counted under another spelling may match as well.
  bool fits(std::string_view text) const {
    if (ends_.empty()) return true;
    size_t state = 1;
    for (const char letter : text) {
      const auto c = static_cast<unsigned char>(letter);
      if (c >= LETTERS) return false;
      state = after_[state * width_ + kinds_[c]];
    }
    return ends_[state] != 0 && !is_respelled(text);
  }

 private:
  static constexpr size_t LETTERS = 128;

  // Whether a text may be counted under another: numbers with a point or an exponent, truth in capitals (detectors/spellings.py).
  static bool is_respelled(std::string_view text) {
    if (text == "True" || text == "TRUE" || text == "False" || text == "FALSE") return true;
    const size_t size = text.size();
    return (size > 2 && text.compare(size - 2, 2, ".0") == 0) || text.find("e+") != std::string_view::npos;
  }

  std::vector<uint8_t> kinds_;   // of letters: those of one kind are alike to the pattern
  std::vector<uint16_t> after_;  // of each state and kind; from state 0 nothing matches any more
  std::vector<uint8_t> ends_;    // whether a match may end in a state
  size_t width_ = 0;             // kinds
};

struct Keeping {
  bool texts = false, numbers = false, truth = false, nothing = false;
  bool times = false;  // texts that are times
  Bounds bounds;       // of numbers
  bool named = false;  // whether it is one of `known`
  Table known;
  Pattern pattern;

  bool keeps(std::string_view text) const { return (!named || known.find(text) >= 0) && pattern.fits(text); }
};

// Whether a value surely keeps the rules, by what stands there.
inline bool none_kept(const Keeping&) { return false; }
inline bool nothing_kept(const Keeping& asked) { return asked.nothing; }

inline auto truth_kept(std::string_view text) {
  return [text](const Keeping& asked) { return asked.truth && asked.keeps(text); };
}

inline auto text_kept(std::string_view text) {
  return [text](const Keeping& asked) {
    int64_t ignored = 0;
    return (asked.texts && asked.keeps(text)) || (asked.times && rfc3339(text, ignored));
  };
}

inline auto number_kept(const Number& found, std::string_view text) {
  return [value = found.value, text](const Keeping& asked) {
    return asked.numbers && asked.bounds.holds(value) && asked.keeps(text);
  };
}

}  // namespace driftd
