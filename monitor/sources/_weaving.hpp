// Rows of JSON that lie as columns, or as values without names, to events: new texts of what lies elsewhere. Nothing here knows of Python.
//
// What is cut here is known to be JSON; if it is not, what is found makes no sense, but lies within.
#pragma once

#include "_splitting.hpp"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace driftd {

inline Value stripped(const char* begin, const char* end) {
  while (begin != end && is_json_space(*begin)) ++begin;
  while (begin != end && is_json_space(end[-1])) --end;
  return {begin, static_cast<size_t>(end - begin), false};
}

// The values of a list, or of the lists of a list, where they lie.
class Lister : Marks<Lister, true> {
  friend Marks;

 public:
  // `width`: how many values each list in the list must have; 0: the values are those of the list itself.
  explicit Lister(size_t width) : width_(width), deepest_(width == 0 ? 1 : 2) {}

  // False: it is none such.
  bool list(const Value& held, std::vector<Value>& values) {
    values_ = &values;
    depth_ = 0;
    begin_ = from_ = held.data;
    done_ = nullptr;
    bool ascii = true;
    const char* const end = held.data + held.size;
    return walk(held.data, end, ascii) && done_ != nullptr && only_space(done_, end);
  }

 private:
  bool mark(const char* at) {
    if (done_ != nullptr) return false;
    if (*at == '[' || *at == '{') return opens(at);
    if (*at == ',') return depth_ == deepest_ ? takes(at) : depth_ > deepest_ || passes(at);
    return closes(at);
  }

  bool opens(const char* at) {
    if (depth_++ >= deepest_) return true;
    if (*at != '[' || !only_space(from_, at)) return false;
    from_ = at + 1;
    before_ = values_->size();
    return true;
  }

  bool closes(const char* at) {
    if (depth_ == deepest_) {
      if (*at != ']') return false;
      const bool holds_none = values_->size() == before_ && only_space(from_, at);
      if (!(holds_none || takes(at)) || (width_ > 0 && values_->size() - before_ != width_)) return false;
      from_ = at + 1;
    } else if (depth_ < deepest_ && !only_space(from_, at)) {
      return false;
    }
    if (--depth_ == 0) done_ = at + 1;
    return depth_ >= 0;
  }

  // A value ends.
  bool takes(const char* at) {
    const Value value = stripped(from_, at);
    values_->push_back(value);
    from_ = at + 1;
    return value.size > 0;
  }

  // A comma between lists.
  bool passes(const char* at) {
    const bool is_alone = depth_ > 0 && from_ != begin_ && only_space(from_, at);
    from_ = at + 1;
    return is_alone;
  }

  static bool only_space(const char* from, const char* to) { return std::all_of(from, to, is_json_space); }

  const size_t width_;
  const ptrdiff_t deepest_;
  ptrdiff_t depth_ = 0;
  const char *begin_ = nullptr, *from_ = nullptr, *done_ = nullptr;
  std::vector<Value>* values_ = nullptr;
  size_t before_ = 0;
};

// Behind the bracket that closes the one at which an object or a list begins; null: none does.
class Skipper : Marks<Skipper, false> {
  friend Marks;

 public:
  const char* behind(const char* at, const char* end) {
    depth_ = 0;
    done_ = nullptr;
    bool ascii = true;
    walk(at, end, ascii);
    return done_;
  }

 private:
  bool mark(const char* at) {
    if (*at == '[' || *at == '{') return ++depth_ > 0;
    if (--depth_ > 0) return true;
    done_ = at + 1;
    return false;
  }

  ptrdiff_t depth_ = 0;
  const char* done_ = nullptr;
};

// A member of an object, as it is written: what stands between the quotes of its key, and its value.
struct Member {
  std::string_view key;
  Value value;
};

// The members of an object of JSON in their order; false: it is none, or a key has a backslash.
inline bool members_of(const char* at, const char* end, std::vector<Member>& members) {
  const auto past_space = [&] { for (; at != end && is_json_space(*at); ++at) {} };
  const auto is = [&](char wanted) { return at != end && *at == wanted; };
  past_space();
  if (!is('{')) return false;
  ++at;
  past_space();
  if (is('}')) return true;
  for (;;) {
    if (!is('"')) return false;
    const char* const key = ++at;
    at = static_cast<const char*>(std::memchr(key, '"', static_cast<size_t>(end - key)));
    if (at == nullptr || std::memchr(key, '\\', static_cast<size_t>(at - key)) != nullptr) return false;
    Member found{{key, static_cast<size_t>(at++ - key)}, {}};
    past_space();
    if (!is(':')) return false;
    ++at;
    past_space();
    const char* const begin = at;
    if (is('[') || is('{')) {
      at = Skipper().behind(begin, end);
    } else if (is('"')) {
      for (++at; at != end && *at != '"'; ++at) at += *at == '\\' && at + 1 != end;
      at = at == end ? nullptr : at + 1;
    } else {
      for (; at != end && *at != ',' && *at != '}' && !is_json_space(*at); ++at) {}
    }
    if (at == nullptr || at == begin) return false;
    found.value = {begin, static_cast<size_t>(at - begin), false};
    members.push_back(found);
    past_space();
    if (is('}')) return true;
    if (!is(',')) return false;
    ++at;
    past_space();
  }
}

// Where the values of an event's slot lie: that of row r at `offset` + r × `stride`. `bare`: what stands inside of the brackets of one.
struct Thread {
  const Value* values;
  size_t count, stride, offset;
  bool bare;

  bool reaches(size_t rows) const {
    return rows > 0 && stride > 0 && stride <= count && offset < count && rows - 1 <= (count - 1 - offset) / stride;
  }

  Value at(size_t row) const {
    const Value& found = values[offset + row * stride];
    if (!bare) return found;
    return found.size < 2 ? Value{} : stripped(found.data + 1, found.data + found.size - 1);
  }
};

// So few bytes, as a rule, that a call would take longer. Behind them.
inline char* put(char* to, const char* from, size_t size) {
  if (size > 16) {
    std::memcpy(to, from, size);
  } else if (size >= 8) {
    char last[8];
    std::memcpy(last, from + size - 8, 8);
    std::memcpy(to, from, 8);
    std::memcpy(to + size - 8, last, 8);
  } else if (size >= 4) {
    char last[4];
    std::memcpy(last, from + size - 4, 4);
    std::memcpy(to, from, 4);
    std::memcpy(to + size - 4, last, 4);
  } else {
    for (size_t at = 0; at < size; ++at) to[at] = from[at];
  }
  return to + size;
}

// Events: texts with a value between each and the next. False: they are more than so many bytes, or a value is nothing.
inline bool weave(const std::vector<std::string_view>& texts, const std::vector<Thread>& threads, size_t rows, size_t most,
                  std::string& woven, std::vector<Value>& events) {
  if (texts.size() != threads.size() + 1) return false;
  size_t fixed = 0, size = 0;
  for (const std::string_view text : texts) fixed += text.size();
  for (const Thread& thread : threads)
    if (!thread.reaches(rows)) return false;
  for (size_t row = 0; row < rows; ++row) {
    size += fixed;
    for (const Thread& thread : threads) {
      const size_t held = thread.at(row).size;
      if (held == 0) return false;
      size += held;
    }
    if (size > most) return false;
  }
  woven.resize(size + rows);  // each ends with the NUL that a scan stops at
  char* to = woven.data();
  for (size_t row = 0; row < rows; ++row) {
    char* const begin = to;
    for (size_t slot = 0; slot < texts.size(); ++slot) {
      to = put(to, texts[slot].data(), texts[slot].size());
      if (slot == threads.size()) break;
      const Value value = threads[slot].at(row);
      to = put(to, value.data, value.size);
    }
    events.push_back({begin, static_cast<size_t>(to - begin), true});
    *to++ = '\0';
  }
  return true;
}

}  // namespace driftd
