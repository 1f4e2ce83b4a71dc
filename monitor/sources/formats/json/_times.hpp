// Epochs and RFC 3339 to nanoseconds since 1970, UTC.
#pragma once

#include "_json.hpp"

namespace driftd {

// An epoch in `unit` nanoseconds to nanoseconds; false beyond int64.
inline bool epoch(const Number& number, int64_t unit, int64_t& nanos) {
  const double most = 9.2e18 / static_cast<double>(unit);
  if (number.whole && !number.exact) return false;
  if (!(std::fabs(number.value) < most)) return false;
  if (number.exact) {
    nanos = number.integer * unit;
    return true;
  }
  const double floor = std::floor(number.value);
  nanos = static_cast<int64_t>(floor) * unit +
          static_cast<int64_t>(std::nearbyint((number.value - floor) * static_cast<double>(unit)));
  return true;
}

// Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March so that leap days come last.
inline int64_t days(int64_t year, int64_t month, int64_t day) {
  const int64_t months = year * 12 + month - 3;
  const int64_t since = months / 12, in_year = (153 * (months % 12) + 2) / 5 + day - 1;
  return since * 365 + since / 4 - since / 100 + since / 400 + in_year - 719'468;
}

inline bool two(std::string_view text, size_t at, int64_t most, int64_t& found) {
  if (at + 2 > text.size() || !is_digit(text[at]) || !is_digit(text[at + 1])) return false;
  found = (text[at] - '0') * 10 + (text[at + 1] - '0');
  return found <= most;
}

inline bool is_day(int64_t year, int64_t month, int64_t day) {
  static constexpr int LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return year >= 1 && month >= 1 && day >= 1 && day <= LENGTHS[month - 1] + (month == 2 && leap);
}

// The zone at the end of a time: Z, ±hh, ±hhmm, ±hh:mm, or nothing, which is UTC; seconds east of Greenwich.
inline bool zone(std::string_view text, int64_t& east) {
  int64_t hours = 0, minutes = 0;
  east = 0;
  if (text.empty() || text == "Z" || text == "z") return true;
  if ((text[0] != '+' && text[0] != '-') || !two(text, 1, 23, hours)) return false;
  const size_t at = text.size() == 6 && text[3] == ':' ? 4 : 3;
  if (text.size() != 3 && (text.size() != at + 2 || !two(text, at, 59, minutes))) return false;
  east = (hours * 60 + minutes) * (text[0] == '-' ? -60 : 60);
  return true;
}

// yyyy-mm-dd[T or space]hh:mm:ss[.digits][zone] to seconds since 1970 and microseconds beyond; any other spelling is left to Python.
inline bool moment(std::string_view text, int64_t& seconds, int64_t& micros) {
  int64_t century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, east = 0;
  micros = 0;
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ')) return false;
  if (text[13] != ':' || text[16] != ':') return false;
  if (!two(text, 0, 99, century) || !two(text, 2, 99, year) || !two(text, 5, 12, month) || !two(text, 8, 31, day)) return false;
  if (!two(text, 11, 23, hour) || !two(text, 14, 59, minute) || !two(text, 17, 59, second)) return false;
  year += century * 100;
  if (!is_day(year, month, day)) return false;
  size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    const size_t begin = ++at;
    for (int64_t worth = 100'000; at < text.size() && is_digit(text[at]); ++at, worth /= 10) micros += (text[at] - '0') * worth;
    if (at == begin) return false;
  }
  if (!zone(text.substr(at), east)) return false;
  seconds = days(year, month, day) * 86'400 + hour * 3'600 + minute * 60 + second - east;
  return true;
}

constexpr int64_t MOST_SECONDS = 9'000'000'000;  // since 1970, in the year 2255

// The same to nanoseconds, cut after the microsecond; false also before 1970.
inline bool rfc3339(std::string_view text, int64_t& nanos) {
  int64_t seconds = 0, micros = 0;
  if (!moment(text, seconds, micros) || seconds < 0 || seconds > MOST_SECONDS) return false;
  nanos = seconds * 1'000'000'000 + micros * 1'000;
  return true;
}

}  // namespace driftd
