// The native reader over a library that is none, under the compiler's sanitizers: fuzz_client SEED COUNT.
//
// Clients, batches and records are made and let go of in any order. Each value lies in an allocation of its own size, one
// byte longer where a count of headers follows, so that a byte read too far ends the run; what is not freed ends it, too.
#include "../../monitor/sources/kafka/_client.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>

using namespace driftd;
using namespace driftd::kafka;

namespace {

std::mt19937_64 randomly;
long handles = 0, queues = 0, confs = 0, messages = 0, lists = 0, errors = 0;
const char* const TOPICS[] = {"predictions", "labels", "predictions"};  // two of one name

size_t one_in(size_t n) { return randomly() % n == 0; }

struct Stub {
  ErrorCallback on_error = nullptr;
  CommitCallback on_commit = nullptr;
  void* opaque = nullptr;
};

template <typename T>
T* as(void* object) { return static_cast<T*>(object); }

char* copied(const char* text) { return std::strcpy(static_cast<char*>(std::malloc(std::strlen(text) + 1)), text); }

Places* places_new(int size) {
  ++lists;
  return new Places{0, size, static_cast<Place*>(std::calloc(static_cast<size_t>(size) + 1, sizeof(Place)))};
}

Place* places_add(Places* places, const char* topic, int32_t partition) {
  Place& added = places->at[places->count++];
  added = {copied(topic), partition, INVALID_OFFSET, nullptr, 0, nullptr, 0, nullptr};
  return &added;
}

void places_destroy(Places* places) {
  --lists;
  for (int at = 0; at < places->count; ++at) std::free(places->at[at].topic), std::free(places->at[at].metadata);
  std::free(places->at);
  delete places;
}

Message* message() {
  ++messages;
  auto* made = new Message{};
  made->topic = reinterpret_cast<Topic*>(const_cast<char**>(reinterpret_cast<const char* const*>(&TOPICS[randomly() % 3])));
  made->partition = static_cast<int32_t>(randomly() % 4);
  made->offset = static_cast<int64_t>(randomly() % 100);
  const bool newer = !one_in(3);
  made->own = newer ? made : nullptr;  // has an epoch
  if (one_in(5)) {
    made->err = one_in(2) ? -191 : -187;
    if (one_in(3)) made->topic = nullptr, made->partition = -1;
  } else if (!one_in(6)) {
    made->len = randomly() % 40;
    made->payload = std::malloc(made->len + newer + (made->len + newer == 0));
    std::memset(made->payload, 'x', made->len);
    if (newer) as<char>(made->payload)[made->len] = one_in(3) ? 2 : 0;
  }
  return made;
}

void message_destroy(Message* message) {
  --messages;
  std::free(message->payload);
  delete message;
}

ssize_t consume_batch_queue(Queue* queue, int, Message** found, size_t most) {
  const Stub& stub = *reinterpret_cast<Stub*>(queue);
  if (one_in(20)) return -1;
  if (one_in(4)) stub.on_error(reinterpret_cast<Handle*>(queue), one_in(3) ? FATAL : -195, one_in(3) ? nullptr : "away", stub.opaque);
  if (one_in(4)) {
    Places* const places = places_new(1);
    places_add(places, "predictions", 1)->err = one_in(2) ? 25 : 0;
    stub.on_commit(reinterpret_cast<Handle*>(queue), 0, one_in(5) ? nullptr : places, stub.opaque);
    places_destroy(places);
  }
  const size_t count = most == 0 ? 0 : randomly() % (most + 1);
  for (size_t at = 0; at < count; ++at) found[at] = message();
  return static_cast<ssize_t>(count);
}

Error* assigned(Handle*, const Places*) { return one_in(4) ? ++errors, reinterpret_cast<Error*>(new int(-186)) : nullptr; }

int asked(Handle*, Places* places, int) {
  for (int at = 0; at < places->count; ++at) places->at[at].offset += 1;
  return one_in(4) ? -185 : 0;
}

Library stubbed() {
  Library library{};
  library.version = [] { return 0x02100000; };
  library.err2str = [](int) { return "an error"; };
  library.conf_new = [] { ++confs; return reinterpret_cast<Conf*>(new Stub); };
  library.conf_destroy = [](Conf* conf) { --confs; delete reinterpret_cast<Stub*>(conf); };
  library.conf_set = [](Conf*, const char*, const char* value, char* why, size_t size) {
    if (value != nullptr && *value != '!') return 0;
    std::snprintf(why, size, "refused");
    return -1;
  };
  library.conf_set_opaque = [](Conf* conf, void* opaque) { reinterpret_cast<Stub*>(conf)->opaque = opaque; };
  library.conf_set_error_cb = [](Conf* conf, ErrorCallback callback) { reinterpret_cast<Stub*>(conf)->on_error = callback; };
  library.conf_set_log_cb = [](Conf*, LogCallback) {};
  library.conf_set_offset_commit_cb = [](Conf* conf, CommitCallback callback) { reinterpret_cast<Stub*>(conf)->on_commit = callback; };
  library.create = [](int, Conf* conf, char* why, size_t size) -> Handle* {
    if (one_in(10)) return std::snprintf(why, size, "no room"), nullptr;
    return --confs, ++handles, reinterpret_cast<Handle*>(conf);
  };
  library.last_error = [] { return -185; };
  library.fatal_error = [](Handle*, char* why, size_t size) { return std::snprintf(why, size, "fenced"), one_in(2) ? 0 : 82; };
  library.poll_set_consumer = [](Handle*) { return 0; };
  library.consumer_close = [](Handle*) { return 0; };
  library.destroy_flags = [](Handle* handle, int) {
    if (messages != 0 && handles == 1) std::fprintf(stderr, "a client went before its messages\n"), std::exit(1);
    --handles;
    delete reinterpret_cast<Stub*>(handle);
  };
  library.queue_get_consumer = [](Handle* handle) { return ++queues, reinterpret_cast<Queue*>(handle); };
  library.queue_destroy = [](Queue*) { --queues; };
  library.consume_batch_queue = consume_batch_queue;
  library.message_destroy = message_destroy;
  library.message_timestamp = [](const Message* message, int* kind) { return *kind = 1, message->offset; };
  library.message_leader_epoch = [](const Message* message) { return message->own != nullptr ? 0 : -1; };
  library.message_headers = [](const Message* message, HeaderList** found) {
    *found = reinterpret_cast<HeaderList*>(const_cast<Message*>(message));
    return message->offset % 3 == 0 ? -156 : 0;  // none
  };
  library.header_get_all = [](const HeaderList* list, size_t at, const char** name, const void** value, size_t* size) {
    const auto& message = *reinterpret_cast<const Message*>(list);
    if (at >= static_cast<size_t>(message.offset % 5)) return -156;
    *name = at % 2 ? "ce_id" : "";
    *value = at % 3 ? message.payload : nullptr;
    *size = *value != nullptr ? message.len : 0;
    return 0;
  };
  library.message_errstr = [](const Message*) { return "an error"; };
  library.topic_name = [](const Topic* topic) { return *reinterpret_cast<const char* const*>(topic); };
  library.places_new = places_new;
  library.places_add = places_add;
  library.places_destroy = places_destroy;
  library.mem_malloc = [](Handle*, size_t size) { return std::malloc(size); };
  library.incremental_assign = assigned;
  library.incremental_unassign = assigned;
  library.error_code = [](const Error* error) { return *reinterpret_cast<const int*>(error); };
  library.error_string = [](const Error*) { return "refused"; };
  library.error_destroy = [](Error* error) { --errors; delete reinterpret_cast<int*>(error); };
  library.commit = [](Handle*, const Places*, int) { return one_in(4) ? -168 : 0; };
  library.committed = asked;
  library.offsets_for_times = asked;
  library.watermarks = [](Handle*, const char*, int32_t, int64_t* low, int64_t* high, int) { return *low = 0, *high = 9, one_in(4) ? -185 : 0; };
  return library;
}

struct Held {
  std::vector<std::shared_ptr<Client>> clients;
  std::vector<std::shared_ptr<Batch>> batches;
  std::vector<std::unique_ptr<Part>> parts;
};

template <typename T>
T* any(std::vector<T>& of) { return of.empty() ? nullptr : &of[randomly() % of.size()]; }

template <typename T>
void drop(std::vector<T>& of) {
  if (!of.empty()) of.erase(of.begin() + static_cast<ptrdiff_t>(randomly() % of.size()));
}

size_t read(const Library& library, const Part& part) {
  size_t sum = 0;
  for (const Message* const each : part.records)
    for (const Header& header : headers_of(library, *each))
      for (size_t at = 0; at < header.size; ++at) sum += static_cast<const unsigned char*>(header.value)[at];
  if (part.values.size() != part.records.size()) std::fprintf(stderr, "a value is lost\n"), std::exit(1);
  for (const Value& value : part.values) {
    for (size_t at = 0; at < value.size; ++at) sum += static_cast<unsigned char>(value.data[at]);
    if (value.ended && value.data[value.size] != '\0') std::fprintf(stderr, "no end\n"), std::exit(1);
  }
  for (const Last& last : part.lasts)
    if (last.message == nullptr || last.message->partition != last.partition) std::fprintf(stderr, "no last\n"), std::exit(1);
  return sum;
}

void act(const Library& library, Held& held) {
  const std::vector<Offset> offsets{{"predictions", 0, 7, one_in(2) ? "mark" : "", 0}, {"labels", 3, 0, "", 0}};
  auto* const client = any(held.clients);
  auto* const batch = any(held.batches);
  auto* const part = any(held.parts);
  std::vector<uint32_t> places;
  switch (randomly() % 17) {
    case 0: {
      auto made = std::make_shared<Client>(library);
      made->open({{"group.id", "g"}, {"check.crcs", one_in(8) ? std::nullopt : std::optional<std::string>(one_in(8) ? "!" : "true")}});
      held.clients.push_back(std::move(made));
      break;
    }
    case 1: case 2: case 3: if (client) held.batches.push_back((*client)->consume(randomly() % 30, randomly() % 40, 0, 1)); break;
    case 4: if (client) (*client)->assign(offsets), (*client)->unassign(offsets); break;
    case 5: if (client) (*client)->commit(offsets), (*client)->committed(offsets, 1); break;
    case 6: if (client) (*client)->offsets_for_times(offsets, 1), (*client)->watermarks("labels", 1, 1); break;
    case 7: if (client) (*client)->take_failures(), (*client)->take_commits(); break;
    case 8: if (client) (*client)->close(); drop(held.clients); break;
    case 9: case 10: drop(held.batches); break;
    case 11: drop(held.parts); break;
    case 12: if (part) held.parts.push_back(before(**part, {{1, 50}, {2, 0}})); break;
    case 13: if (part) read(library, **part); break;
    case 14:
      for (size_t left = randomly() % 20; left > 0; --left) places.push_back(static_cast<uint32_t>(randomly() % 40));
      if (part) held.parts.push_back(only(**part, places)), read(library, *held.parts.back());
      break;
    default:
      if (!batch) break;
      for (size_t left = randomly() % 20; left > 0; --left) places.push_back(static_cast<uint32_t>(randomly() % 40));
      for (TopicPart& each : parts_of(*batch, one_in(2) ? &places : nullptr)) read(library, *each.part), held.parts.push_back(std::move(each.part));
      for (const uint32_t mark : (*batch)->marks) (*batch)->topic(*(*batch)->messages[mark]);
  }
}

}  // namespace

int main(int, char** arguments) {
  randomly.seed(std::strtoull(arguments[1], nullptr, 10));
  const long count = std::strtol(arguments[2], nullptr, 10);
  const Library library = stubbed();
  if (!library.laid_out()) return std::fprintf(stderr, "the layout is not its own\n"), 1;
  Library found{};
  if (found.load([](const char*) -> void* { return nullptr; }) == nullptr) return std::fprintf(stderr, "nothing lacks\n"), 1;
  long failed = 0;
  {
    Held held;
    for (long at = 0; at < count; ++at) {
      try {
        act(library, held);
      } catch (const Failure&) {
        ++failed;
      }
      while (held.clients.size() > 3) drop(held.clients);
      while (held.batches.size() > 20) drop(held.batches);
      while (held.parts.size() > 60) drop(held.parts);
    }
  }
  std::printf("%ld acts, %ld failed\n", count, failed);
  const long left[] = {handles, queues, confs, messages, lists, errors};
  for (const long each : left)
    if (each != 0) return std::fprintf(stderr, "%ld left\n", each), 1;
  return failed > 0 ? 0 : 1;
}
