// Events that are not written out: texts that are the same in all of them, and values between these that lie elsewhere. Nothing here knows
// of Python.
#pragma once

#include "_messages.hpp"

#include <string>
#include <vector>

namespace driftd {

// Where the values of an event's slot lie: that of row r at `offset` + r × `stride`. `bare`: what stands inside of the brackets of one.
struct Thread {
  const Messages* held;
  size_t stride, offset;
  bool bare;

  bool reaches(size_t rows) const {
    const size_t count = held->count;
    return rows > 0 && stride > 0 && stride <= count && offset < count && rows - 1 <= (count - 1 - offset) / stride;
  }

  // The value, with its brackets.
  const Value& whole(size_t row) const { return held->values[offset + row * stride]; }

  Value at(size_t row) const {
    const Value& found = whole(row);
    if (!bare) return found;
    const char *begin = found.data + 1, *end = found.data + found.size - 1;
    if (found.size < 2) return {};
    while (begin != end && is_space(*begin)) ++begin;
    while (begin != end && is_space(end[-1])) --end;
    return {begin, static_cast<size_t>(end - begin), false};
  }

 private:
  static bool is_space(char letter) { return letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t'; }
};

// Texts with a value between each and the next.
struct Woven {
  std::vector<std::string> texts;
  std::vector<Thread> threads;

  // The bytes of an event.
  void write(size_t row, std::string& to) const {
    to.clear();
    for (size_t slot = 0; slot < texts.size(); ++slot) {
      to += texts[slot];
      if (slot == threads.size()) break;
      const Value value = threads[slot].at(row);
      to.append(value.data, value.size);
    }
  }
};

}  // namespace driftd
