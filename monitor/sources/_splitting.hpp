// A block of a file to the lines that hold something, where they lie. Nothing here knows of Python.
#pragma once

#include "_messages.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace driftd {

inline bool is_space(char letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r'); }  // as Python's strip has it

inline bool is_blank(const Value& line) {
  return std::all_of(line.data, line.data + line.size, is_space);
}

// What Python finds out by `b"" in lines or b"\r" in lines`.
inline bool is_empty(const Value& line) { return line.size == 0 || (line.size == 1 && line.data[0] == '\r'); }

// The lines that end in [begin, end). Each end becomes the NUL that a scan stops at. Where one is empty, blank ones are left out.
// Returns where the line begins that does not end here.
inline char* split_lines(char* begin, char* end, std::vector<Value>& lines) {
  bool empty = false;
  while (begin != end) {
    char* const last = static_cast<char*>(std::memchr(begin, '\n', static_cast<size_t>(end - begin)));
    if (last == nullptr) break;
    *last = '\0';
    lines.push_back({begin, static_cast<size_t>(last - begin), true});
    empty = empty || is_empty(lines.back());
    begin = last + 1;
  }
  if (empty) lines.erase(std::remove_if(lines.begin(), lines.end(), is_blank), lines.end());
  return begin;
}

}  // namespace driftd
