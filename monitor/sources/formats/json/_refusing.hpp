// Why a message is refused for good, as the slow reader says it, where that is certain: what is no JSON or not to be read, whose it is,
// when it was, whether it has features. Knows nothing of Python.
//
// The law is that of documents.py and mapping.py, in their order: one reason a message, the first that applies. What would need more than
// is done here is ODD, and is left: so are messages that are rows after all. A message is followed by a NUL, which stops every loop.
#pragma once

#include "_reader.hpp"

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace driftd {

// In place of a series; scanning.py has their names.
enum Refusal : int32_t {
  EMPTY = -3,
  FRAMED = -4,
  TOO_LARGE = -5,
  INVALID_UTF8 = -6,
  TOO_DEEP = -7,
  MALFORMED = -8,
  NOT_OBJECT = -9,
  MODEL_MISSING = -10,
  MODEL_INVALID = -11,
  VERSION_INVALID = -12,
  TIMESTAMP_MISSING = -13,
  TIMESTAMP_INVALID = -14,
  BEFORE_2000 = -15,
  IN_FUTURE = -16,
  FEATURES_MISSING = -17,
  FEATURES_INVALID = -18
};

enum Role { of_time, of_model, of_version, of_all_features, roles };

// What is asked of an object: what stands at a key, as which it is wanted, and what is asked of it where it is an object itself.
struct Asked {
  string key;
  int role = -1;
  std::vector<Asked> below;

  const Asked* find(string_view name) const {
    for (const Asked& each : below)
      if (each.key == name) return &each;
    return nullptr;
  }

  // What is asked at a key from now on.
  Asked& at(string_view name) {
    for (Asked& each : below)
      if (each.key == name) return each;
    below.push_back({string(name), -1, {}});
    return below.back();
  }
};

struct Refusing {
  Asked root;
  bool modelless = false;  // messages need not name their model
  bool featureless = true;  // nor have an object of features
};

// --- what is refused before it is read -----------------------------------------------------------------------------

constexpr ptrdiff_t FRAME = 5;       // bytes that a schema registry's client puts before a message: a zero, and an id
constexpr ptrdiff_t BEGIN = 1 << 10;  // bytes: what is too deep is so here, as a rule
constexpr ptrdiff_t RUN = 128;        // bytes that are looked at together: so many a byte can count

inline bool is_ascii(const char* at, const char* end) {
  unsigned char all = 0;
  for (; at < end; ++at) all |= static_cast<unsigned char>(*at);
  return all < 0x80;
}

inline ptrdiff_t brackets_of(const char* at, const char* end) {
  ptrdiff_t found = 0;
  while (at < end) {
    const char* last = at + std::min(RUN, end - at);
    unsigned char brackets = 0;
    for (; at < last; ++at) {
      const auto bent = static_cast<unsigned char>(*at | 0x20);  // a square bracket lies 0x20 below its curly one
      brackets += static_cast<unsigned char>((bent == '{') + (bent == '}'));
    }
    found += brackets;
  }
  return found;
}

inline bool is_utf8(const char* at, const char* end) {
  while (at < end) {
    if (static_cast<unsigned char>(*at) < 0x80) {
      ++at;
      continue;
    }
    const int size = utf8_size(at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

// Whether brackets outside of texts are nested too deep, whatever stands there. A backslash hides one behind it, or a quote.
inline bool is_deep(const char* at, const char* end) {
  if (brackets_of(at, end) <= MAX_DEPTH) return false;
  ptrdiff_t depth = 0;
  bool inside = false;
  for (; at < end; ++at) {
    const char c = *at;
    if (c == '"') inside = !inside;
    else if (c == '\\') at += at[1] == '\\' || at[1] == '"';
    else if (inside) continue;
    else if (c == '{' || c == '[') {
      if (++depth > MAX_DEPTH) return true;
    } else if (c == '}' || c == ']') --depth;
  }
  return false;
}

// The same; what is so at its begin is looked through no further.
inline bool is_too_deep(const char* begin, const char* end) {
  return is_deep(begin, begin + std::min(BEGIN, end - begin)) || (end - begin > BEGIN && is_deep(begin, end));
}

inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Whether an object that begins here is cut off.
inline bool is_cut(const char* begin, const char* end) {
  if (*begin != '{') return false;
  while (is_space(end[-1])) --end;
  return end[-1] != '}';
}

// --- times ---------------------------------------------------------------------------------------------------------

enum class Told { time, invalid, early, late, unsure };

// Whether a text begins as a date does, yyyy-mm-dd.
inline bool is_dated(string_view text) {
  if (text.size() < 10) return false;
  for (const size_t at : {0, 1, 2, 3, 5, 6, 8, 9})
    if (!is_digit(text[at])) return false;
  return text[4] == '-' && text[7] == '-';
}

// Whether a character is one that can be seen.
inline bool is_shown(char c) { return c > ' ' && c < '\x7F'; }

// The number that two digits are.
inline int pair_of(string_view text, size_t at) { return (text[at] - '0') * 10 + (text[at + 1] - '0'); }

// Whether a text that begins as a date does is none that Python takes: a month, a day, an hour, a minute, a second that is not there, more
// behind a Z. An hour of 24 and a second of 60 may be some.
inline bool is_impossible(string_view text) {
  const int year = pair_of(text, 0) * 100 + pair_of(text, 2), month = pair_of(text, 5);
  if (month > 12 || !is_day(year, month, pair_of(text, 8))) return true;
  if (text.size() < 19 || text[13] != ':' || text[16] != ':') return false;
  for (const size_t at : {11, 12, 14, 15, 17, 18})
    if (!is_digit(text[at])) return false;
  if (pair_of(text, 11) > 24 || pair_of(text, 14) > 59 || pair_of(text, 17) > 60) return true;
  if (text.size() > 20 && (text[19] == 'Z' || text[19] == 'z')) return text[20] > '\0' && is_shown(text.back());
  if (text.size() != 25 || (text[19] != '+' && text[19] != '-') || text[22] != ':') return false;
  for (const size_t at : {20, 21, 23, 24})
    if (!is_digit(text[at])) return false;
  return pair_of(text, 20) > 24;
}

// --- one message ---------------------------------------------------------------------------------------------------

class Refuser {
 public:
  Refuser(const Refusing& asked, const Routes& routes, int64_t unit, int64_t latest)
      : asked_(asked), routes_(routes), unit_(unit), latest_(latest) {}

  // Why a message is refused, or that it is nobody's; ODD: who knows. What is nobody's or of the future has a `time`.
  int32_t judge(const char* begin, const char* end) {
    if (begin == end) return EMPTY;
    if (end - begin > FRAME && *begin == '\0') return FRAMED;
    if (static_cast<size_t>(end - begin) > MAX_BYTES) return TOO_LARGE;
    if (!is_ascii(begin, end) && !is_utf8(begin, end)) return INVALID_UTF8;
    if (is_too_deep(begin, end)) return TOO_DEEP;
    if (is_cut(begin, end)) return MALFORMED;
    if (end - begin >= 3 && std::memcmp(begin, "\xEF\xBB\xBF", 3) == 0) begin += 3;  // a byte order mark
    in_ = Cursor(begin, end, true);
    in_.space();
    const bool is_object = *in_.at == '{';
    for (Found& each : found_) each = {};
    if (!(is_object ? members(asked_.root, 1) : in_.skip(0)) || !in_.ends()) return MALFORMED;
    return is_object ? placed() : NOT_OBJECT;
  }

  int64_t time() const { return time_; }

 private:
  enum class What : uint8_t { nothing, truth, number, beyond, text, list, object };

  struct Found {
    What what = What::nothing;
    string text;  // of texts and numbers
  };

  static constexpr size_t SURELY_READ = 4'000, SURELY_INFINITE = 4'400;  // characters of whole numbers: as documents.py reads them
  static constexpr int64_t NEAR = 9'000'000'000'000'000'000;           // nanoseconds: behind it times are not told apart here

  // --- what stands where ---

  bool members(const Asked& asked, int depth) {
    in_.step();
    if (*in_.at == '}') return in_.pass();
    for (;;) {
      string_view key;
      if (*in_.at != '"' || !in_.string(key, scratch_)) return false;
      const Asked* wanted = asked.find(key);
      if (!in_.colon() || !(wanted == nullptr ? in_.skip(depth) : value(*wanted, depth))) return false;
      in_.space();
      if (*in_.at == '}') return in_.pass();
      if (*in_.at != ',') return false;
      in_.step();
    }
  }

  // Of a key that is said twice the last value counts, with all that it holds.
  bool value(const Asked& asked, int depth) {
    forget(asked);
    Found found{what_at(in_.at), {}};
    const char* begin = in_.at;
    string_view text;
    if (found.what == What::object && !asked.below.empty()) {
      if (depth >= MAX_DEPTH || !members(asked, depth + 1)) return false;
    } else if (found.what == What::text) {
      if (!in_.string(text, scratch_)) return false;
    } else {
      if (!in_.skip(depth)) return false;
      if (found.what == What::number) text = {begin, static_cast<size_t>(in_.at - begin)};
    }
    if (asked.role < 0) return true;
    found.text = text;
    found_[asked.role] = std::move(found);
    return true;
  }

  void forget(const Asked& asked) {
    if (asked.role >= 0) found_[asked.role] = {};
    for (const Asked& each : asked.below) forget(each);
  }

  static What what_at(const char* at) {
    switch (*at) {
      case 'n': return What::nothing;
      case 't':
      case 'f': return What::truth;
      case 'N':
      case 'I': return What::beyond;
      case '"': return What::text;
      case '[': return What::list;
      case '{': return What::object;
      default: return at[0] == '-' && at[1] == 'I' ? What::beyond : What::number;
    }
  }

  // --- whose, and when ---

  int32_t placed() {
    const Found &version = found_[of_version], &model = found_[of_model], &features = found_[of_all_features];
    if (version.what == What::list || version.what == What::object) return VERSION_INVALID;
    if (model.what == What::nothing && !asked_.modelless) return MODEL_MISSING;
    if (model.what != What::nothing && model.what != What::text) return MODEL_INVALID;
    switch (timed(found_[of_time])) {
      case Told::time: break;
      case Told::invalid: return found_[of_time].what == What::nothing ? TIMESTAMP_MISSING : TIMESTAMP_INVALID;
      case Told::early: return BEFORE_2000;
      case Told::late: return IN_FUTURE;
      case Told::unsure: return ODD;
    }
    string_view said;
    if (!versioned(version, said)) return ODD;
    if (routes_.find(model.what == What::nothing ? UNNAMED : string_view(model.text), said) < 0) return UNMONITORED;
    if (asked_.featureless || features.what == What::object) return ODD;
    return features.what == What::nothing ? FEATURES_MISSING : FEATURES_INVALID;
  }

  // A version as the text under which it is known; false where only Python knows.
  bool versioned(const Found& version, string_view& said) {
    if (version.what == What::nothing) return true;
    if (version.what == What::text) return said = version.text, true;
    Number number;
    return version.what == What::number && read(version, number) && canonical(number, digits_, said);
  }

  static bool read(const Found& found, Number& number) {
    Cursor text(found.text.data(), found.text.data() + found.text.size());
    return text.number(number);
  }

  Told timed(const Found& found) {
    switch (found.what) {
      case What::text: return of_text(found.text);
      case What::number: return of_number(found);
      default: return Told::invalid;
    }
  }

  Told of_text(string_view text) {
    if (text.empty()) return Told::invalid;
    if (static_cast<unsigned char>(text[0]) <= ' ' || static_cast<unsigned char>(text[0]) >= 0x80) return Told::unsure;  // may be space
    if (!is_dated(text) || is_impossible(text)) return Told::invalid;
    int64_t seconds = 0, micros = 0;
    if (!moment(text, seconds, micros)) return Told::unsure;
    if (seconds < 0) return Told::early;
    return seconds > MOST_SECONDS ? beyond(true) : bounded(seconds * 1'000'000'000 + micros * 1'000);
  }

  Told of_number(const Found& found) {
    const string& text = found.text;
    const bool negative = text[0] == '-', whole = std::all_of(text.begin() + negative, text.end(), is_digit);
    if (whole && text.size() > SURELY_READ) return text.size() > SURELY_INFINITE ? Told::invalid : Told::unsure;
    if (whole && text.size() > static_cast<size_t>(MOST_DIGITS) + negative) return beyond(!negative);
    Number number;
    if (!read(found, number)) return Told::unsure;
    int64_t nanos = 0;
    return epoch(number, unit_, nanos) ? bounded(nanos) : beyond(!negative);
  }

  // What no 64 bits hold.
  Told beyond(bool late) {
    if (!late) return Told::early;
    time_ = INT64_MAX;
    return latest_ < NEAR ? Told::late : Told::unsure;
  }

  Told bounded(int64_t nanos) {
    time_ = nanos;
    return nanos < EARLIEST ? Told::early : nanos > latest_ ? Told::late : Told::time;
  }

  const Refusing& asked_;
  const Routes& routes_;
  const int64_t unit_, latest_;
  Cursor in_{nullptr, nullptr};
  Found found_[roles];
  int64_t time_ = 0;
  string scratch_;
  char digits_[LONGEST_NUMBER] = {};
};

}  // namespace driftd
