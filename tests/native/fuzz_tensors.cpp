// Throws damaged bodies of tensors at the reader that takes their numbers out, under the compiler's sanitizers: fuzz_tensors SEED COUNT.
//
// Each body lies in an allocation of its own size and a NUL, its numbers in one that is sometimes too small, so that what is read or
// written too far ends the run. What is printed depends on every answer.
#include "../../monitor/sources/formats/tensors/_compacting.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>

using namespace driftd;

namespace {

using Random = std::mt19937_64;

std::string number_of(Random& random) {
  static const char* const ODD[] = {"null", "-0", "0.0", "1e5", "-1.5E-3", "9007199254740993", "1e999", "NaN", "01", "-", ".5", "1.", "true",
                                    "\"a,b\"", "[1]", "12345678.12345678901", "0.1000000000000000055", "123456789"};
  if (random() % 16 == 0) return ODD[random() % (sizeof ODD / sizeof *ODD)];
  std::string text = random() % 2 ? "-" : "";
  text += std::to_string(random() % (random() % 4 == 0 ? 100000000 : 10));
  if (random() % 8 != 0) {
    text += '.';
    for (auto left = 1 + random() % (random() % 3 == 0 ? 19 : 6); left > 0; --left) text += static_cast<char>('0' + random() % 10);
  }
  return text;
}

std::string body_of(Random& random) {
  std::string text = random() % 2 ? "{\"id\":\"r-1\",\"inputs\":[" : "{\"inputs\": [";
  const char* const comma = random() % 2 ? "," : ", ";
  for (auto tensors = random() % 4; tensors > 0; --tensors) {
    text += "{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP64\",\"data\":[";
    for (auto left = random() % 60; left > 0; --left) text += number_of(random) + (left > 1 ? comma : "");
    text += tensors > 1 ? "]}," : "]}";
  }
  text += "]}";
  for (auto damages = random() % 3; damages > 0; --damages) {
    static const char BYTES[] = "{}[]\",:\\ 0.-e\0\xff" "data";
    const auto at = random() % text.size();
    if (random() % 3 == 0) text.erase(at, random() % 8);
    else text[at] = BYTES[random() % (sizeof BYTES - 1)];
    if (text.empty()) text = "{";
  }
  return text;
}

}  // namespace

int main(int, char** arguments) {
  Random random(std::strtoull(arguments[1], nullptr, 10));
  uint64_t said = 0;
  const auto say = [&](uint64_t more) { said = (said ^ more) * 0x9E3779B97F4A7C15u; };
  for (long left = std::strtol(arguments[2], nullptr, 10); left > 0; --left) {
    const std::string text = body_of(random);
    const auto body = std::make_unique<char[]>(text.size() + 1);
    std::memcpy(body.get(), text.data(), text.size());
    const size_t room = random() % 8 == 0 ? random() % 70 : text.size() / 2 + 64;
    const auto numbers = std::make_unique<double[]>(room);
    Compactor compactor(body.get(), body.get() + text.size(), numbers.get(), numbers.get() + room);
    const bool understood = compactor.run();
    if (compactor.numbers.size() > room) std::abort();
    if (room < text.size() / 2 + 64) continue;  // how much room is needed differs
    say(understood);
    if (!understood) continue;
    for (const char c : compactor.rest) say(static_cast<unsigned char>(c));
    for (size_t at = 0; at < compactor.numbers.size(); ++at) {
      uint64_t bits;
      std::memcpy(&bits, numbers.get() + at, sizeof bits);
      say(bits);
    }
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(said));
}
