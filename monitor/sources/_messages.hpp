// Where the values of messages lie, handed from who reads them to who scans them: a capsule of this name holds a `Messages`.
#pragma once

#include <cstddef>

namespace driftd {

constexpr const char* MESSAGES = "monitor.sources.messages";

struct Woven;  // `_woven.hpp`

// The value of one message; no data: there is none, or it lies in parts. `ended`: bytes that are not part of it follow, the last of them a
// NUL, and may be read. `woven`: it is a row of what is woven, which gives its bytes.
struct Value {
  const char* data = nullptr;
  size_t size = 0;
  bool ended = false;
  const Woven* woven = nullptr;
  size_t row = 0;

  bool is_there() const { return data != nullptr || woven != nullptr; }
};

struct Messages {
  const Value* values = nullptr;
  size_t count = 0;
  const char *begin = nullptr, *end = nullptr;  // what all of them lie in, and a NUL behind it; none: nobody knows
};

}  // namespace driftd
