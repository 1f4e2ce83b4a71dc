// What threads that read ahead share, under the compiler's thread sanitizer: races SEED COUNT.
//
// Workers take turns to consume from one client, each takes its batch apart and reads its messages by the one shape; another
// thread, as the loop does, commits, assigns, takes what the library has told, and lets go of what it was handed. The library is none.
#include "../../monitor/sources/formats/json/_reader.hpp"
#include "../../monitor/sources/kafka/_client.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <thread>

using namespace driftd;
using namespace driftd::kafka;

namespace {

using Place = kafka::Place;  // of a partition; the scan's are others

constexpr size_t WORKERS = 3, AHEAD = 4, MOST = 40;
const char TEXT[] = R"({"ts": 1763870700000, "features": {"age": 41.5, "plan": "pro"}})";
const char* const TOPIC = "predictions";

struct Stub {
  ErrorCallback on_error = nullptr;
  CommitCallback on_commit = nullptr;
  void* opaque = nullptr;
};

std::atomic<long> messages{0}, lists{0};

Places* places_new(int size) {
  ++lists;
  return new Places{0, size, static_cast<Place*>(std::calloc(static_cast<size_t>(size) + 1, sizeof(Place)))};
}

Place* places_add(Places* places, const char* topic, int32_t partition) {
  Place& added = places->at[places->count++];
  added = {strdup(topic), partition, INVALID_OFFSET, nullptr, 0, nullptr, 0, nullptr};
  return &added;
}

void places_destroy(Places* places) {
  --lists;
  for (int at = 0; at < places->count; ++at) std::free(places->at[at].topic);
  std::free(places->at);
  delete places;
}

ssize_t consume_batch_queue(Queue* queue, int, Message** found, size_t most) {
  const Stub& stub = *reinterpret_cast<Stub*>(queue);
  stub.on_error(reinterpret_cast<Handle*>(queue), -195, "away", stub.opaque);
  Places* const places = places_new(1);
  places_add(places, TOPIC, 1);
  stub.on_commit(reinterpret_cast<Handle*>(queue), 0, places, stub.opaque);
  places_destroy(places);
  for (size_t at = 0; at < most; ++at) {
    ++messages;
    auto* const made = new Message{};
    made->topic = reinterpret_cast<Topic*>(const_cast<char**>(reinterpret_cast<const char* const*>(&TOPIC)));
    made->partition = static_cast<int32_t>(at % 4);
    made->payload = std::malloc(sizeof TEXT);
    made->len = sizeof TEXT - 1;
    std::memcpy(made->payload, TEXT, sizeof TEXT);
    found[at] = made;
  }
  return static_cast<ssize_t>(most);
}

Library stubbed() {
  Library library{};
  library.conf_new = [] { return reinterpret_cast<Conf*>(new Stub); };
  library.conf_set_opaque = [](Conf* conf, void* opaque) { reinterpret_cast<Stub*>(conf)->opaque = opaque; };
  library.conf_set_error_cb = [](Conf* conf, ErrorCallback callback) { reinterpret_cast<Stub*>(conf)->on_error = callback; };
  library.conf_set_log_cb = [](Conf*, LogCallback) {};
  library.conf_set_offset_commit_cb = [](Conf* conf, CommitCallback callback) { reinterpret_cast<Stub*>(conf)->on_commit = callback; };
  library.create = [](int, Conf* conf, char*, size_t) { return reinterpret_cast<Handle*>(conf); };
  library.poll_set_consumer = [](Handle*) { return 0; };
  library.consumer_close = [](Handle*) { return 0; };
  library.destroy_flags = [](Handle* handle, int) { delete reinterpret_cast<Stub*>(handle); };
  library.queue_get_consumer = [](Handle* handle) { return reinterpret_cast<Queue*>(handle); };
  library.queue_destroy = [](Queue*) {};
  library.consume_batch_queue = consume_batch_queue;
  library.message_destroy = [](Message* message) { --messages, std::free(message->payload), delete message; };
  library.message_leader_epoch = [](const Message*) { return 0; };
  library.topic_name = [](const Topic* topic) { return *reinterpret_cast<const char* const*>(topic); };
  library.places_new = places_new;
  library.places_add = places_add;
  library.places_destroy = places_destroy;
  library.incremental_assign = [](Handle*, const Places*) -> Error* { return nullptr; };
  library.incremental_unassign = [](Handle*, const Places*) -> Error* { return nullptr; };
  library.commit = [](Handle*, const Places*, int) { return 0; };
  return library;
}

void add(Shape& shape, Node& node, const std::string& key, Kind kind, int slot) {
  node.index.add(key, static_cast<int32_t>(node.entries.size()));
  node.entries.push_back({key, kind, slot, shape.ids++, nullptr});
}

void describe(Shape& shape) {
  add(shape, shape.root, "ts", Kind::timestamp, 0);
  add(shape, shape.root, "features", Kind::node, 0);
  auto features = std::make_unique<Node>();
  features->required = true;
  add(shape, *features, "age", Kind::number, 0);
  add(shape, *features, "plan", Kind::category, 0);
  shape.root.entries[1].node = std::move(features);
  shape.categories.resize(1);
  shape.categories[0].codes.add("pro", 0);
  shape.categories[0].unseen = 1;
  shape.numbers = shape.required = 1;
  shape.envelope = shape.modelless = true;
  shape.expect();
}

struct Ready {
  std::shared_ptr<Batch> batch;
  std::vector<TopicPart> parts;
  size_t rows;
};

struct Shared {
  std::mutex turn, changed;
  std::condition_variable told;
  std::deque<Ready> ahead;
  bool stopped = false;
};

size_t read(const Shape& shape, const Part& part) {
  std::vector<double> numbers(part.values.size());
  std::vector<int32_t> codes(part.values.size());
  Reader reader(shape, Columns{numbers.data(), codes.data(), nullptr, static_cast<int64_t>(numbers.size())}, 1'000'000, INT64_MAX);
  size_t row = 0;
  for (const Value& each : part.values) row += reader.read(each.data, each.data + each.size, static_cast<int64_t>(row));
  return row;
}

void work(Client& client, const Shape& shape, Shared& shared) {
  while (true) {
    Ready ready;
    {
      const std::lock_guard<std::mutex> mine(shared.turn);
      ready.batch = client.consume(MOST, MOST, 0, 1);
    }
    ready.parts = parts_of(ready.batch, nullptr);
    ready.rows = 0;
    if (ready.batch->weight < MOST * sizeof TEXT) std::fprintf(stderr, "no weight\n"), std::exit(1);
    for (const TopicPart& each : ready.parts) ready.rows += read(shape, *each.part);
    std::unique_lock<std::mutex> locked(shared.changed);
    shared.told.wait(locked, [&] { return shared.stopped || shared.ahead.size() < AHEAD; });
    if (shared.stopped) return;
    shared.ahead.push_back(std::move(ready));
    shared.told.notify_all();
  }
}

}  // namespace

int main(int, char** arguments) {
  std::mt19937_64 random(std::strtoull(arguments[1], nullptr, 10));
  const long count = std::strtol(arguments[2], nullptr, 10);
  const Library library = stubbed();
  Shape shape;
  describe(shape);
  size_t rows = 0, told = 0;
  {
    auto client = std::make_shared<Client>(library);
    client->open({});
    Shared shared;
    std::vector<std::thread> workers;
    for (size_t at = 0; at < WORKERS; ++at) workers.emplace_back([&] { work(*client, shape, shared); });
    const std::vector<Offset> offsets{{TOPIC, 0, 7, "", 0}};
    for (long at = 0; at < count; ++at) {
      std::unique_lock<std::mutex> locked(shared.changed);
      shared.told.wait(locked, [&] { return !shared.ahead.empty(); });
      const Ready ready = std::move(shared.ahead.front());
      shared.ahead.pop_front();
      shared.told.notify_all();
      locked.unlock();
      rows += ready.rows;
      if (random() % 2 == 0) client->commit(offsets);
      if (random() % 8 == 0) client->unassign(offsets), client->assign(offsets);
      told += client->take_failures().size() + client->take_commits().size();
    }
    {
      const std::lock_guard<std::mutex> locked(shared.changed);
      shared.stopped = true;
      shared.told.notify_all();
    }
    for (std::thread& each : workers) each.join();
    client->close();
  }
  std::printf("%zu rows, %zu told\n", rows, told);
  if (messages != 0 || lists != 0) return std::fprintf(stderr, "%ld messages and %ld lists are left\n", messages.load(), lists.load()), 1;
  return rows == static_cast<size_t>(count) * MOST && told > 0 ? 0 : 1;
}
