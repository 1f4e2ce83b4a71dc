// A consumer and what it has consumed, by librdkafka's C interface. Knows nothing of Python.
//
// Messages lie in the library's buffers until their batch is gone, and the client is there until all its batches are: who
// closes it while somebody still looks at a batch ends the connections, not the memory. A process that was forked from the
// one that made a client has none of the library's threads: there nothing is called and nothing is freed.
#pragma once

#include "../_messages.hpp"
#include "_librdkafka.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

namespace driftd::kafka {

struct Failure {
  int code;
  std::string reason;
  bool fatal = false;
};

struct Offset {
  std::string topic;
  int32_t partition;
  int64_t offset;
  std::string metadata;
  int err = 0;
};

struct Committed {
  int code;
  std::vector<Offset> offsets;
};

using Properties = std::vector<std::pair<std::string, std::optional<std::string>>>;

// A list of places as the library wants it.
class Listed {
 public:
  Listed(const Library& library, const std::vector<Offset>& offsets)
      : library_(library), places_(library.places_new(static_cast<int>(offsets.size()))) {
    for (const Offset& each : offsets) {
      Place* const place = library.places_add(places_, each.topic.c_str(), each.partition);
      place->offset = each.offset;
      if (each.metadata.empty()) continue;
      const size_t size = each.metadata.size() + 1;  // with its NUL: the Python client writes one, and reads up to one
      place->metadata = library.mem_malloc(nullptr, size);
      if (place->metadata == nullptr) continue;
      std::memcpy(place->metadata, each.metadata.c_str(), size);
      place->metadata_size = size;
    }
  }
  ~Listed() { library_.places_destroy(places_); }
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;

  Places* get() const { return places_; }

 private:
  const Library& library_;
  Places* const places_;
};

inline std::vector<Offset> offsets_of(const Places* places) {
  std::vector<Offset> found;
  for (int at = 0; places != nullptr && at < places->count; ++at) {
    const Place& place = places->at[at];
    std::string metadata;
    if (const auto* text = static_cast<const char*>(place.metadata)) metadata.assign(text, strnlen(text, place.metadata_size));
    found.push_back({place.topic, place.partition, place.offset, std::move(metadata), place.err});
  }
  return found;
}

class Batch;

class Client : public std::enable_shared_from_this<Client> {
 public:
  explicit Client(const Library& of) : library(of), process_(getpid()) {}
  ~Client() {
    if (handle_ == nullptr || elsewhere()) return;
    free_retired();
    if (queue_ != nullptr) library.queue_destroy(queue_);
    library.destroy_flags(handle_, NO_CONSUMER_CLOSE);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Library& library;

  // Whether this is another process than the one that made it.
  bool elsewhere() const { return getpid() != process_; }

  // Must be called once, before all else. Throws Failure.
  void open(const Properties& properties) {
    char why[ERROR_SIZE] = "";
    Conf* const conf = library.conf_new();
    for (const auto& [name, value] : properties) {
      if (library.conf_set(conf, name.c_str(), value ? value->c_str() : nullptr, why, sizeof why) == 0) continue;
      library.conf_destroy(conf);
      throw Failure{INVALID_ARGUMENT, why};
    }
    library.conf_set_opaque(conf, this);
    library.conf_set_error_cb(conf, note_error);
    library.conf_set_log_cb(conf, [](const Handle*, int, const char*, const char*) {});  // else stderr, at any level when fatal
    library.conf_set_offset_commit_cb(conf, note_commit);
    handle_ = library.create(CONSUMER, conf, why, sizeof why);
    if (handle_ == nullptr) {
      library.conf_destroy(conf);
      throw Failure{library.last_error(), std::string("Failed to create consumer: ") + why};
    }
    check(library.poll_set_consumer(handle_));  // refused without a group
    queue_ = library.queue_get_consumer(handle_);
  }

  // Waits for so many messages, or for the time to be over; notes what the library has to tell. Throws Failure.
  // Waits for so many messages, at most so long; in steps, of which one that has brought enough is the last.
  std::shared_ptr<Batch> consume(size_t most, size_t enough, int milliseconds, int step);

  void assign(const std::vector<Offset>& offsets) {
    const Listed listed(library, offsets);
    check(library.incremental_assign(handle_, listed.get()));
  }

  void unassign(const std::vector<Offset>& offsets) {
    const Listed listed(library, offsets);
    check(library.incremental_unassign(handle_, listed.get()));
  }

  // Does not wait for the broker: `take_commits` has what it says.
  void commit(const std::vector<Offset>& offsets) {
    const Listed listed(library, offsets);
    check(library.commit(handle_, listed.get(), 1));
  }

  std::vector<Offset> committed(const std::vector<Offset>& wanted, int milliseconds) {
    const Listed listed(library, wanted);
    check(library.committed(handle_, listed.get(), milliseconds));
    return offsets_of(listed.get());
  }

  // The first offset at or after the time that stands in place of each offset.
  std::vector<Offset> offsets_for_times(const std::vector<Offset>& wanted, int milliseconds) {
    const Listed listed(library, wanted);
    check(library.offsets_for_times(handle_, listed.get(), milliseconds));
    return offsets_of(listed.get());
  }

  std::pair<int64_t, int64_t> watermarks(const std::string& topic, int32_t partition, int milliseconds) {
    int64_t low = INVALID_OFFSET, high = INVALID_OFFSET;
    check(library.watermarks(handle_, topic.c_str(), partition, &low, &high, milliseconds));
    return {low, high};
  }

  // Of all topics. `metadata_destroy` is for the caller.
  const Metadata* metadata(int milliseconds) {
    const Metadata* found = nullptr;
    check(library.metadata(handle_, 1, nullptr, &found, milliseconds));
    return found;
  }

  // Ends the connections, which may take as long as a commit that is under way.
  void close() {
    {
      const std::lock_guard<std::mutex> locked(mutex_);
      closed_ = true;
    }
    free_retired();
    library.consumer_close(handle_);
  }

  // Takes the messages of a batch that is gone. They are freed by who consumes next, who holds no lock of Python meanwhile and does
  // not judge what was read; by this call where nobody will.
  void retire(std::vector<Message*>&& messages) {
    {
      const std::lock_guard<std::mutex> locked(mutex_);
      if (retired_.empty()) retired_.swap(messages);
      else retired_.insert(retired_.end(), messages.begin(), messages.end());
      if (!closed_) return;
    }
    free_retired();
  }

  std::vector<Failure> take_failures() {
    const std::lock_guard<std::mutex> locked(mutex_);
    return std::exchange(failures_, {});
  }

  std::vector<Committed> take_commits() {
    const std::lock_guard<std::mutex> locked(mutex_);
    return std::exchange(commits_, {});
  }

 private:
  static void note_error(Handle* handle, int code, const char* reason, void* opaque) {
    Client& client = *static_cast<Client*>(opaque);
    Failure failure{code, reason != nullptr ? reason : "", false};
    char why[ERROR_SIZE] = "";
    if (code == FATAL) {  // what it is stands elsewhere
      const int told = client.library.fatal_error(handle, why, sizeof why);
      failure = {told != 0 ? told : code, told != 0 ? why : failure.reason, true};
    }
    const std::lock_guard<std::mutex> locked(client.mutex_);
    client.failures_.push_back(std::move(failure));
  }

  static void note_commit(Handle*, int code, Places* places, void* opaque) {
    Client& client = *static_cast<Client*>(opaque);
    const std::lock_guard<std::mutex> locked(client.mutex_);
    client.commits_.push_back({code, offsets_of(places)});
  }

  void check(int code) const {
    if (code != 0) throw Failure{code, library.err2str(code)};
  }

  void check(Error* error) const {
    if (error == nullptr) return;
    Failure failure{library.error_code(error), library.error_string(error)};
    library.error_destroy(error);
    throw failure;
  }

  void free_retired() {
    std::vector<Message*> freed;
    {
      const std::lock_guard<std::mutex> locked(mutex_);
      freed.swap(retired_);
    }
    for (Message* const each : freed) library.message_destroy(each);
  }

  const pid_t process_;
  Handle* handle_ = nullptr;
  Queue* queue_ = nullptr;
  std::mutex mutex_;  // guards all that follows
  std::vector<Message*> retired_;
  bool closed_ = false;
  std::vector<Failure> failures_;
  std::vector<Committed> commits_;
};

// What one call has consumed: records, and errors and ends of partitions among them.
class Batch {
 public:
  Batch(std::shared_ptr<Client> client, std::vector<Message*> messages)
      : client(std::move(client)), messages(std::move(messages)) {
    for (size_t at = 0; at < this->messages.size(); ++at) {
      const Message& each = *this->messages[at];
      prefetch(at + FETCHED);
      weight += sizeof(Message) + each.len + each.key_len;
      if (each.err != 0) marks.push_back(static_cast<uint32_t>(at));
    }
  }
  ~Batch() {
    if (!client->elsewhere()) client->retire(std::move(messages));
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  const std::shared_ptr<Client> client;
  std::vector<Message*> messages;  // never changed while there is anybody to see
  size_t weight = 0;               // bytes that they take
  std::vector<uint32_t> marks;     // the places of errors and of ends of partitions

  // Has a message fetched that will be looked at soon: another thread has written it.
  void prefetch(size_t at) const {
    if (at < messages.size()) __builtin_prefetch(messages[at]);
  }

  std::string topic(const Message& message) const {
    return message.topic != nullptr ? client->library.topic_name(message.topic) : "";
  }

 private:
  static constexpr size_t FETCHED = 8;  // messages ahead
};

inline std::shared_ptr<Batch> Client::consume(size_t most, size_t enough, int milliseconds, int step) {
  free_retired();
  const std::unique_ptr<Message*[]> room(new Message*[most]);  // as it is: few of them may come
  size_t count = 0;
  do {
    const int wait = std::min(step, milliseconds);
    const ssize_t more = library.consume_batch_queue(queue_, wait, room.get() + count, most - count);
    if (more < 0 && count > 0) break;  // what came before is not lost; the error comes again
    if (more < 0) throw Failure{library.last_error(), library.err2str(library.last_error())};
    count += static_cast<size_t>(more);
    milliseconds -= wait;
  } while (milliseconds > 0 && count < std::min(most, enough));
  return std::make_shared<Batch>(shared_from_this(), std::vector<Message*>(room.get(), room.get() + count));
}

// The last record of one partition.
struct Last {
  int32_t partition;
  const Message* message;
};

// Records of one topic, in the order read.
class Part {
 public:
  explicit Part(std::shared_ptr<const Batch> of) : batch(std::move(of)) {}

  const std::shared_ptr<const Batch> batch;
  std::vector<const Message*> records;
  std::vector<Value> values;
  std::vector<Last> lasts;  // in the order in which partitions first come

  void reserve(size_t count) {
    records.reserve(count);
    values.reserve(count);
  }

  void add(const Message& record) {
    if (records.empty() || lasts[newest_].partition != record.partition) newest_ = place_of(record.partition);
    lasts[newest_].message = &record;
    records.push_back(&record);
    values.push_back(value_of(record));
  }

 private:
  size_t place_of(int32_t partition) {
    const auto [found, is_new] = places_.try_emplace(partition, lasts.size());
    if (is_new) lasts.push_back({partition, nullptr});
    return found->second;
  }

  // In record format 2, which alone has epochs, the count of headers follows each value: without headers that is a NUL.
  // What follows in older formats may not be looked at.
  Value value_of(const Message& record) const {
    const char* const data = static_cast<const char*>(record.payload);
    if (data == nullptr) return {};
    return {data, record.len, batch->client->library.message_leader_epoch(&record) >= 0 && data[record.len] == '\0'};
  }

  std::unordered_map<int32_t, size_t> places_;
  size_t newest_ = 0;
};

struct Header {
  const char* name;
  const void* value;
  size_t size;
};

// The headers of a record, in their order, as they lie in the library; none where it cannot read them.
inline std::vector<Header> headers_of(const Library& library, const Message& record) {
  std::vector<Header> found;
  HeaderList* held = nullptr;
  if (library.message_headers(&record, &held) != 0 || held == nullptr) return found;
  Header each{};
  for (size_t at = 0; library.header_get_all(held, at, &each.name, &each.value, &each.size) == 0; ++at) found.push_back(each);
  return found;
}

struct TopicPart {
  std::string topic;
  std::unique_ptr<Part> part;
};

constexpr size_t AHEAD = 8;  // messages whose ends are fetched before they are looked at

// The records by topic; of those at some places, in their order, where places are given.
inline std::vector<TopicPart> parts_of(const std::shared_ptr<Batch>& batch, const std::vector<uint32_t>* places) {
  std::vector<TopicPart> parts;
  std::vector<const Topic*> topics;  // of the part at the same place: the library may have several for one name
  std::vector<size_t> part_at;
  const size_t count = places != nullptr ? places->size() : batch->messages.size();
  size_t current = 0;
  for (size_t at = 0; at < count; ++at) {
    const size_t place = places != nullptr ? (*places)[at] : at;
    if (place >= batch->messages.size()) continue;
    const Message& message = *batch->messages[place];
    if (place + AHEAD < batch->messages.size()) {  // where a value ends is looked at, as is what lies around the message
      const Message& soon = *batch->messages[place + AHEAD];
      __builtin_prefetch(static_cast<const char*>(soon.payload) + soon.len);
    }
    if (message.err != 0 || message.topic == nullptr) continue;
    if (topics.empty() || topics[current] != message.topic) {
      current = static_cast<size_t>(std::find(topics.begin(), topics.end(), message.topic) - topics.begin());
      if (current == topics.size()) {
        std::string name = batch->topic(message);
        size_t whose = 0;
        while (whose < parts.size() && parts[whose].topic != name) ++whose;
        if (whose == parts.size()) {
          parts.push_back({std::move(name), std::make_unique<Part>(batch)});
          if (whose == 0) parts.back().part->reserve(count);  // as a rule there is one topic
        }
        topics.push_back(message.topic);
        part_at.push_back(whose);
      }
    }
    parts[part_at[current]].part->add(message);
  }
  return parts;
}

// The records before the end of their partition; of partitions without an end all.
inline std::unique_ptr<Part> before(const Part& part, const std::unordered_map<int32_t, int64_t>& ends) {
  auto found = std::make_unique<Part>(part.batch);
  for (const Message* const each : part.records) {
    const auto end = ends.find(each->partition);
    if (end == ends.end() || each->offset < end->second) found->add(*each);
  }
  return found;
}

// The records at some places; a place that there is not is left out.
inline std::unique_ptr<Part> only(const Part& part, const std::vector<uint32_t>& places) {
  auto found = std::make_unique<Part>(part.batch);
  for (const uint32_t place : places)
    if (place < part.records.size()) found->add(*part.records[place]);
  return found;
}

}  // namespace driftd::kafka
