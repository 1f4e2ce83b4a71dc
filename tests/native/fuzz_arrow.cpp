// Arrow batches of any numbers and bytes, under the compiler's sanitizers: fuzz_arrow SEED COUNT.
//
// Each message lies in an allocation of its own size, so that what is read too far ends the run. That the answers are right is tested
// elsewhere (tests/monitor/sources/formats/test_arrow_scanning.py).
#include "../../monitor/sources/formats/arrow/_placing.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>

using namespace driftd;
using namespace driftd::arrow;

namespace {

using Random = std::mt19937_64;

const Type TYPES[] = {Type::truth, Type::integer, Type::natural, Type::single, Type::real, Type::time, Type::fixed, Type::text, Type::wide_text, Type::bytes};
const int64_t ODD_NUMBERS[] = {0, 1, 7, 8, 16, 64, -1, -8, 1 << 20, INT64_MAX, INT64_MIN, INT64_MAX - 7, int64_t{1} << 32};

void put(std::string& bytes, size_t at, int64_t number) { std::memcpy(&bytes[at], &number, sizeof number); }

int any_of(Random& random, const std::vector<int>& columns) {
  return columns.empty() || random() % 4 == 0 ? ABSENT : columns[random() % columns.size()];
}

// Columns of all types, a few of them in a struct; what wants each takes the types that it is asked with.
void draw(Random& random, Layout& layout, const Shape& shape, const Routes& routes) {
  std::vector<int> numbers, texts, categories, times;
  layout.columns.push_back({Type::structure, 0, ABSENT});
  for (int column = 1, count = 2 + static_cast<int>(random() % 9); column <= count; ++column) {
    const Type type = column == 1 ? Type::integer : column == 2 ? Type::text : TYPES[random() % (sizeof TYPES / sizeof *TYPES)];
    const int64_t width = type == Type::time ? 1'000'000 : column == 1 ? 8 : int64_t{1} << random() % 4;
    layout.columns.push_back({type, width, random() % 2 == 0 ? 0 : ABSENT});
    if (((type == Type::integer || type == Type::natural) && width == 8) || type == Type::time || is_text(type)) times.push_back(column);
    if (is_text(type)) texts.push_back(column);
    if (is_text(type) || type == Type::truth || type == Type::integer || type == Type::natural) categories.push_back(column);
    if (type != Type::time && type != Type::fixed && type != Type::bytes) numbers.push_back(column);
  }
  layout.schema = "schema";
  layout.time = times[random() % times.size()];
  layout.unit = 1'000'000;
  layout.model = ABSENT;
  if (random() % 2 == 0) layout.model = any_of(random, texts);
  layout.version = any_of(random, texts);
  layout.modelless = random() % 4 != 0;
  if (random() % 2 == 0) layout.required = {0};
  layout.routes = &routes;
  Wanted wanted;
  wanted.shape = &shape;
  for (int slot = 0; slot < 3; ++slot) wanted.numbers.push_back(any_of(random, numbers));
  wanted.categories = {any_of(random, categories)};
  wanted.ids = {{any_of(random, texts), false}, {any_of(random, texts), true}};
  layout.series.push_back(wanted);
  size_t buffers = 0;
  for (const Column& column : layout.columns) buffers += column.buffers();
  layout.body_at = 4;
  layout.rows_at = 16;
  layout.nodes_at = 28;
  layout.buffers_at = layout.nodes_at + PAIR * layout.columns.size() + 4;
  layout.metadata.assign(layout.buffers_at + PAIR * buffers + 3, 'm');
  if (!layout.finish()) std::abort();
}

// A batch that is in order, but for what is drawn otherwise.
std::string batch_of(Random& random, const Layout& layout) {
  std::string metadata = layout.metadata, body;
  const int64_t rows = 1 + static_cast<int64_t>(random() % 40);
  const auto buffer = [&](size_t number, const std::string& bytes) {
    put(metadata, layout.buffers_at + PAIR * number, static_cast<int64_t>(body.size()));
    put(metadata, layout.buffers_at + PAIR * number + 8, static_cast<int64_t>(bytes.size()));
    body += bytes;
    body.resize((body.size() + 7) / 8 * 8);
  };
  for (size_t at = 0; at < layout.columns.size(); ++at) {
    const Column& column = layout.columns[at];
    std::string bits(static_cast<size_t>(rows + 7) / 8, '\0');
    int64_t missing = 0;
    for (int64_t row = 0; row < rows; ++row)
      if (random() % (static_cast<int>(at) == layout.time ? 64 : 8) == 0) ++missing;
      else bits[row / 8] = static_cast<char>(bits[row / 8] | 1 << row % 8);
    put(metadata, layout.nodes_at + PAIR * at, rows);
    put(metadata, layout.nodes_at + PAIR * at + 8, missing);
    buffer(column.buffer, missing > 0 ? bits : "");
    if (column.type == Type::structure) continue;
    std::string values, data;
    if (has_offsets(column.type)) {
      const size_t width = is_wide(column.type) ? 8 : 4;
      for (int64_t row = 0; row <= rows; ++row) {
        const auto end = static_cast<int64_t>(data.size());
        values.append(reinterpret_cast<const char*>(&end), width);
        if (row < rows) data += static_cast<int>(at) == layout.time || random() % 3 == 0 ? "2026-01-02T03:04:05Z" : random() % 3 == 0 ? "gr\xC3\xB6\xC3\x9F" "er" : "a";
      }
    } else {
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t value = (static_cast<int>(at) == layout.time && random() % 16 > 0) || random() % 2 == 0 ? 1'764'000'000'000 : static_cast<int64_t>(random());
        values.append(reinterpret_cast<const char*>(&value), 8);
      }
    }
    buffer(column.buffer + 1, values);
    if (has_offsets(column.type)) buffer(column.buffer + 2, data);
  }
  put(metadata, layout.rows_at, rows);
  put(metadata, layout.body_at, static_cast<int64_t>(body.size()));
  for (uint64_t damages = random() % 3; damages-- > 0;) {
    if (random() % 2 == 0) {
      const size_t pairs = (metadata.size() - layout.nodes_at) / 8;
      put(metadata, layout.nodes_at + 8 * (random() % pairs), ODD_NUMBERS[random() % (sizeof ODD_NUMBERS / sizeof *ODD_NUMBERS)]);
    } else if (!body.empty()) {
      body[random() % body.size()] = static_cast<char>(random());
    }
  }
  const auto size = static_cast<int32_t>(metadata.size());
  return std::string("\xFF\xFF\xFF\xFF") + std::string(reinterpret_cast<const char*>(&size), 4) + metadata + body;
}

int64_t rows_of(const Layout& layout, const Value& message) {
  int64_t rows = 0;
  const bool read = each_batch(layout, message, [&](const Batch& batch) { return batch.fits() && (rows += batch.rows(), true); });
  return read ? rows : 0;
}

// As `place` and `fill` do it; returns whether the message was read.
bool read(Random& random, const Layout& layout, const Shape& shape) {
  std::string bytes = layout.schema + batch_of(random, layout);
  if (random() % 2 == 0) bytes += batch_of(random, layout);
  if (random() % 8 == 0) bytes.resize(random() % bytes.size());
  const auto held = std::make_unique<char[]>(bytes.size());
  std::memcpy(held.get(), bytes.data(), bytes.size());
  const Value message{held.get(), bytes.size(), false};
  const int64_t rows = rows_of(layout, message);
  if (rows == 0) return false;
  const auto times = std::make_unique<int64_t[]>(rows);
  const auto owners = std::make_unique<int32_t[]>(rows);
  Placer placer(layout, random() % 4 == 0 ? LATEST : 1'800'000'000'000'000'000);
  int64_t row = 0;
  if (!each_batch(layout, message, [&](const Batch& batch) {
        if (!batch.sound() || !placer.place(batch, times.get() + row, owners.get() + row)) return false;
        row += batch.rows();
        return true;
      }))
    return false;
  int64_t ours = std::count(owners.get(), owners.get() + rows, REFUSED);
  if (ours != std::accumulate(placer.refused, placer.refused + refusals, int64_t{0})) std::abort();
  for (int64_t at = 0; at < rows; ++at)
    if (owners[at] >= 0 && (times[at] < EARLIEST || times[at] > LATEST)) std::abort();
  ours = std::count(owners.get(), owners.get() + rows, 0);
  const Wanted& wanted = layout.series[0];
  const auto numbers = std::make_unique<double[]>(ours * wanted.numbers.size());
  const auto codes = std::make_unique<int32_t[]>(ours * wanted.categories.size());
  const auto ids = std::make_unique<uint64_t[]>(ours * wanted.ids.size());
  int64_t counts[16] = {};
  Filler filler(layout, wanted, {numbers.get(), codes.get(), ids.get(), ours}, counts);
  if (fill_message(layout, message, 0, owners.get(), filler, 0, ours) != ours) std::abort();
  for (int64_t at = 0; at < ours; ++at)
    if (codes[at] < 0 || codes[at] > shape.categories[0].unseen + 1) std::abort();
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  Random random(std::strtoull(arguments[1], nullptr, 10));
  Shape shape;
  shape.categories.resize(1);
  shape.categories[0].codes.add("a", 0);
  shape.categories[0].codes.add("true", 1);
  shape.categories[0].unseen = 2;
  Routes routes;
  routes.names.add("a", 0);
  routes.names.add(UNNAMED, 1);
  routes.models.resize(2);
  for (Model& model : routes.models) model.otherwise = 0;
  uint64_t taken = 0;
  const uint64_t rounds = std::strtoull(arguments[2], nullptr, 10);
  for (uint64_t round = 0; round < rounds; ++round) {
    Layout layout;
    draw(random, layout, shape, routes);
    for (int message = 0; message < 20; ++message) taken += read(random, layout, shape);
  }
  std::printf("%llu of %llu messages were read\n", static_cast<unsigned long long>(taken), static_cast<unsigned long long>(20 * rounds));
  return taken > 0 ? 0 : 1;
}
