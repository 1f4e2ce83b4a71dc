// Throws damaged bodies of tensors at what makes templates of them, at what reads others by these, and at what takes their numbers out,
// under the compiler's sanitizers: fuzz_tensors SEED COUNT.
//
// Each body lies in an allocation of its own size and a NUL, its columns in ones that are sometimes too small, so that what is read or
// written too far ends the run. A template reads the body that it was made of, unless there is no room. What is printed depends on every answer.
#include "../../monitor/sources/formats/tensors/_compacting.hpp"
#include "../../monitor/sources/formats/tensors/_template.hpp"

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
  if (random() % 64 == 0) return ODD[random() % (sizeof ODD / sizeof *ODD)];
  std::string text = random() % 2 ? "-" : "";
  text += std::to_string(random() % (random() % 4 == 0 ? 100000000 : 10));
  if (random() % 8 != 0) {
    text += '.';
    for (auto left = 1 + random() % (random() % 3 == 0 ? 19 : 6); left > 0; --left) text += static_cast<char>('0' + random() % 10);
  }
  return text;
}

std::string text_of(Random& random) {
  static const char* const TEXTS[] = {"\"pro\"", "\"\"", "null", "\"a long text that is no category\"", "\"\\u00e9\"", "\"\xc3\xa9\"", "\"\\ud800\"", "1"};
  return TEXTS[random() % (random() % 16 == 0 ? 8 : 4)];
}

// A list of so many elements, a list of lists where they have a width.
std::string array_of(Random& random, size_t rows, size_t width, bool nested, bool texts, const char* comma) {
  std::string text = "[";
  for (size_t row = 0; row < rows; ++row) {
    if (nested) text += '[';
    for (size_t at = 0; at < width; ++at) text += (at ? comma : "") + (texts ? text_of(random) : number_of(random));
    if (nested) text += ']';
    if (row + 1 < rows) text += comma;
  }
  return text + ']';
}

// What a client of this kind sends: the same but for numbers, rows and id.
std::string body_of(Random& random, uint64_t kind) {
  const char* const comma = kind % 2 ? "," : ", ";
  const size_t rows = 1 + random() % (random() % 4 == 0 ? 120 : 4), width = kind / 2 % 4 == 0 ? 2 : 1;
  const bool nested = kind / 8 % 4 == 0 || width > 1, first = kind / 32 % 4 == 0;
  const std::string id = kind / 128 % 2 ? "\"id\":\"" + std::string(random() % 20, 'r') + "\"," : "";
  if (first) return "{" + id + "\"instances\":" + array_of(random, rows, width, nested, kind / 256 % 4 == 0 && !nested, comma) + "}";
  std::string text = "{" + id + "\"inputs\":[";
  for (uint64_t tensor = 0; tensor <= kind / 256 % 3; ++tensor) {
    if (tensor) text += ',';
    text += "{\"name\":\"x\",\"shape\":[" + std::to_string(rows + (random() % 64 == 0)) + (width > 1 ? ",2" : "") + "],\"data\":";
    text += array_of(random, rows, width, nested, !nested && tensor == 1, comma) + "}";
  }
  return text + "]}";
}

// The same with its tensors behind it; sometimes with a size that is not theirs, or numbers that a reader leaves.
std::string binary_of(Random& random, uint64_t kind) {
  static const char* const TYPES[] = {"FP64", "FP32", "INT64", "INT32", "UINT8"};
  const size_t rows = 1 + random() % (random() % 4 == 0 ? 120 : 4), width = kind / 2 % 4 == 0 ? 2 : 1;
  std::string text = "{\"inputs\":[", behind;
  for (uint64_t tensor = 0; tensor <= kind / 256 % 3; ++tensor) {
    const auto of = kind / 1024 % 16 == 0 ? 4 : (kind / 16384 + tensor) % 4;
    const size_t cells = rows * width, bytes = of == 4 ? 1 : of % 2 ? 4 : 8, size = cells * bytes + (random() % 64 == 0);
    if (tensor) text += ',';
    text += "{\"name\":\"x\",\"shape\":[" + std::to_string(rows + (random() % 64 == 0)) + (width > 1 ? ",2" : "") + "],\"datatype\":\"" + TYPES[of];
    text += "\",\"parameters\":{\"binary_data_size\":" + std::to_string(size) + "}}";
    for (size_t at = 0; at < size; ++at) behind += static_cast<char>(random() % 8 == 0 ? 0xFF : random() % 4 == 0 ? ' ' : at % 8 == 7 ? 0 : random());
  }
  return text + "]}" + behind;
}

void damage(Random& random, std::string& text) {
  for (auto damages = random() % 3; damages > 0 && random() % 2; --damages) {
    static const char BYTES[] = "{}[]\",:\\ 0.-e\0\xff" "data";
    const auto at = random() % text.size();
    if (random() % 3 == 0) text.erase(at, random() % 8);
    else text[at] = BYTES[random() % (sizeof BYTES - 1)];
    if (text.empty()) text = "{";
  }
}

// Bytes of their own size and a NUL.
std::unique_ptr<char[]> alone(const std::string& text) {
  auto found = std::make_unique<char[]>(text.size() + 1);
  std::memcpy(found.get(), text.data(), text.size());
  return found;
}

uint64_t said = 0;
void say(uint64_t more) { said = (said ^ more) * 0x9E3779B97F4A7C15u; }

// A template as Python makes it of what was learnt: numbers to columns in their order, texts to the column of categories.
Template made_of(const Learner& learner, const char* begin, const char* end, size_t rows, int64_t& width) {
  Template made;
  for (const Spot& spot : learner.spots) {
    Part part{std::string(begin, spot.begin), spot.place, spot.width, {}};
    begin = spot.end;
    for (size_t cell = 0; spot.count != 0 && cell < std::max<size_t>(1, spot.count / rows); ++cell)
      part.columns.push_back(spot.place == Place::texts ? 0 : static_cast<int32_t>(width++));
    made.parts.push_back(std::move(part));
  }
  made.parts.push_back({std::string(begin, end), Place::nothing, 0, {}});
  return made;
}

Outcome read(const Template& made, const std::string& text, int64_t width, int64_t room, const Codes& codes) {
  const auto body = alone(text);
  // rows as those that wait for their other half: their fields one behind another, aligned to nothing
  const size_t codes_at = 3 + 8 * static_cast<size_t>(width), ids_at = codes_at + 4, time_at = ids_at + 16, size = time_at + 15;
  const auto rows = std::make_unique<char[]>(size * static_cast<size_t>(room));
  const auto lacking = std::make_unique<int64_t[]>(static_cast<size_t>(width + 1));
  const auto step = static_cast<ptrdiff_t>(size);
  Columns to;
  to.categories = &codes;
  to.numbers = {rows.get() + 3, step};
  to.codes = {rows.get() + codes_at, step};
  to.ids = {rows.get() + ids_at, step};
  to.more = {rows.get() + ids_at + 8, step};
  to.times = {rows.get() + time_at, step};
  const auto blank = std::make_unique<char[]>(size);
  for (size_t at = 0; at < size; ++at) blank[at] = static_cast<char>(at);
  to.blank = blank.get();
  to.row_bytes = step;
  if (room > 0) to.whole = rows.get();
  to.lacking = lacking.get();
  to.width = width;
  to.coded = 1;
  to.room = room;
  TemplateReader reader(made, body.get(), body.get() + text.size(), to);
  const Outcome outcome = reader.read();
  if (outcome != Outcome::read) return outcome;
  reader.taken(reader.id, 7);
  if (to.rows != reader.rows || to.rows > room) std::abort();
  say(static_cast<uint64_t>(to.rows));
  for (int64_t row = 0; row < to.rows; ++row) {
    const char* const at = rows.get() + row * step;
    for (size_t byte = 3; byte < size; ++byte) say(static_cast<unsigned char>(at[byte]));
    uint64_t more, time;
    std::memcpy(&time, at + time_at, sizeof time);
    if (time != 7 || std::memcmp(at, blank.get(), 3) != 0 || std::memcmp(at + time_at + 8, blank.get() + time_at + 8, 7) != 0) std::abort();
    std::memcpy(&more, at + ids_at + 8, sizeof more);
    if (!reader.id.empty() && more != hash_id(std::string(reader.id) + '#' + std::to_string(row), SECOND)) std::abort();
  }
  for (int64_t column = 0; column <= width; ++column) say(static_cast<uint64_t>(lacking[static_cast<size_t>(column)]));
  return outcome;
}

// The other reader of such bodies takes their numbers out; its room is sometimes too small.
void compact(Random& random, const std::string& text) {
  const auto body = alone(text);
  const size_t enough = text.size() / 2 + 64, room = random() % 8 == 0 ? random() % 70 : enough;
  const auto numbers = std::make_unique<double[]>(room);
  Compactor compactor(body.get(), body.get() + text.size(), numbers.get(), numbers.get() + room);
  const bool understood = compactor.run();
  if (compactor.numbers.size() > room) std::abort();
  if (room < enough) return;  // how much room is needed differs
  say(understood);
  if (!understood) return;
  for (const char c : compactor.rest) say(static_cast<unsigned char>(c));
  for (size_t at = 0; at < compactor.numbers.size(); ++at) {
    uint64_t bits;
    std::memcpy(&bits, numbers.get() + at, sizeof bits);
    say(bits);
  }
}

}  // namespace

int main(int, char** arguments) {
  Random random(std::strtoull(arguments[1], nullptr, 10));
  Codes codes;
  codes.texts.add("pro", 0);
  codes.texts.add("\xc3\xa9", 1);
  codes.unseen = 2;
  codes.missing = 3;
  for (long left = std::strtol(arguments[2], nullptr, 10); left > 0; --left) {
    const uint64_t kind = random();
    const auto next = [&] { return kind / (1 << 20) % 4 == 0 ? binary_of(random, kind) : body_of(random, kind); };
    std::string text = next();
    damage(random, text);
    compact(random, text);
    const auto body = alone(text);
    Learner learner(body.get(), body.get() + text.size());
    const bool understood = learner.run();
    say(understood);
    if (!understood) continue;
    for (const char c : learner.probe) say(static_cast<unsigned char>(c));
    size_t rows = 0;
    for (const Spot& spot : learner.spots)
      if (spot.count != 0 && rows == 0) rows = spot.width != 0 ? spot.count / spot.width : spot.count;
    int64_t width = 0;
    const Template made = made_of(learner, body.get(), body.get() + text.size(), rows, width);
    const int64_t room = random() % 8 == 0 ? static_cast<int64_t>(random() % 3) : 200;
    say(static_cast<uint64_t>(read(made, text, width, room, codes)));
    for (int more = 0; more < 3; ++more) {
      std::string other = next();
      damage(random, other);
      say(static_cast<uint64_t>(read(made, other, width, room, codes)));
    }
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(said));
}
