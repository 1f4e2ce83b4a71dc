// Where the values of messages lie, handed from who reads them to who scans them: a capsule of this name holds a `Messages`.
#pragma once

#include <cstddef>

namespace driftd {

constexpr const char* MESSAGES = "monitor.sources.messages";

// The value of one message; no data: there is none. `ended`: bytes that are not part of it follow, the last of them a NUL, and may be read.
struct Value {
  const char* data = nullptr;
  size_t size = 0;
  bool ended = false;
};

struct Messages {
  const Value* values = nullptr;
  size_t count = 0;
};

}  // namespace driftd
