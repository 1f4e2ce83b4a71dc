// What is used of librdkafka's C interface, declared anew: the library is the one that the Python client has loaded, and its
// header is not there. The structs are those of version 2; `Library::load` refuses any other.
//
// Names and layouts: https://github.com/confluentinc/librdkafka/blob/v2.15.0/src/rdkafka.h
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/types.h>

namespace driftd::kafka {

constexpr int CONSUMER = 1, MAJOR = 2;
constexpr int NO_CONSUMER_CLOSE = 0x8;
constexpr int FATAL = -150, INVALID_ARGUMENT = -186;
constexpr int64_t INVALID_OFFSET = -1001;
constexpr size_t ERROR_SIZE = 512;

struct Handle;
struct Conf;
struct Queue;
struct Topic;
struct Error;
struct HeaderList;

struct Message {
  int err;
  Topic* topic;
  int32_t partition;
  void* payload;
  size_t len;
  void* key;
  size_t key_len;
  int64_t offset;
  void* own;
};

struct Place {
  char* topic;
  int32_t partition;
  int64_t offset;
  void* metadata;
  size_t metadata_size;
  void* opaque;
  int err;
  void* own;
};

struct Places {
  int count, size;
  Place* at;
};

struct BrokerMetadata {
  int32_t id;
  char* host;
  int port;
};

struct PartitionMetadata {
  int32_t id;
  int err;
  int32_t leader;
  int replica_count;
  int32_t* replicas;
  int isr_count;
  int32_t* isrs;
};

struct TopicMetadata {
  char* topic;
  int partition_count;
  PartitionMetadata* partitions;
  int err;
};

struct Metadata {
  int broker_count;
  BrokerMetadata* brokers;
  int topic_count;
  TopicMetadata* topics;
  int32_t origin;
  char* origin_name;
};

using ErrorCallback = void (*)(Handle*, int, const char*, void*);
using LogCallback = void (*)(const Handle*, int, const char*, const char*);
using CommitCallback = void (*)(Handle*, int, Places*, void*);

struct Library {
  int (*version)();
  const char* (*err2str)(int);
  Conf* (*conf_new)();
  void (*conf_destroy)(Conf*);
  int (*conf_set)(Conf*, const char*, const char*, char*, size_t);
  void (*conf_set_opaque)(Conf*, void*);
  void (*conf_set_error_cb)(Conf*, ErrorCallback);
  void (*conf_set_log_cb)(Conf*, LogCallback);
  void (*conf_set_offset_commit_cb)(Conf*, CommitCallback);
  Handle* (*create)(int, Conf*, char*, size_t);
  int (*last_error)();
  int (*fatal_error)(Handle*, char*, size_t);
  int (*poll_set_consumer)(Handle*);
  int (*consumer_close)(Handle*);
  void (*destroy_flags)(Handle*, int);
  Queue* (*queue_get_consumer)(Handle*);
  void (*queue_destroy)(Queue*);
  ssize_t (*consume_batch_queue)(Queue*, int, Message**, size_t);
  void (*message_destroy)(Message*);
  int64_t (*message_timestamp)(const Message*, int*);
  int32_t (*message_leader_epoch)(const Message*);
  const char* (*message_errstr)(const Message*);
  int (*message_headers)(const Message*, HeaderList**);
  int (*header_get_all)(const HeaderList*, size_t, const char**, const void**, size_t*);
  const char* (*topic_name)(const Topic*);
  Places* (*places_new)(int);
  Place* (*places_add)(Places*, const char*, int32_t);
  void (*places_destroy)(Places*);
  void* (*mem_malloc)(Handle*, size_t);
  Error* (*incremental_assign)(Handle*, const Places*);
  Error* (*incremental_unassign)(Handle*, const Places*);
  int (*error_code)(const Error*);
  const char* (*error_string)(const Error*);
  void (*error_destroy)(Error*);
  int (*commit)(Handle*, const Places*, int);
  int (*committed)(Handle*, Places*, int);
  int (*offsets_for_times)(Handle*, Places*, int);
  int (*watermarks)(Handle*, const char*, int32_t, int64_t*, int64_t*, int);
  int (*metadata)(Handle*, int, Topic*, const Metadata**, int);
  void (*metadata_destroy)(const Metadata*);

  // Fills the table by `find(name)`, which gives a function's address or none. Returns what is wrong; none where nothing is.
  template <typename Find>
  const char* load(Find find) {
    const char* lacking = nullptr;
    const auto take = [&](auto& function, const char* name) {
      void* const found = find(name);
      if (found == nullptr) lacking = name;
      static_assert(sizeof function == sizeof found);
      std::memcpy(&function, &found, sizeof found);
    };
    take(version, "rd_kafka_version");
    take(err2str, "rd_kafka_err2str");
    take(conf_new, "rd_kafka_conf_new");
    take(conf_destroy, "rd_kafka_conf_destroy");
    take(conf_set, "rd_kafka_conf_set");
    take(conf_set_opaque, "rd_kafka_conf_set_opaque");
    take(conf_set_error_cb, "rd_kafka_conf_set_error_cb");
    take(conf_set_log_cb, "rd_kafka_conf_set_log_cb");
    take(conf_set_offset_commit_cb, "rd_kafka_conf_set_offset_commit_cb");
    take(create, "rd_kafka_new");
    take(last_error, "rd_kafka_last_error");
    take(fatal_error, "rd_kafka_fatal_error");
    take(poll_set_consumer, "rd_kafka_poll_set_consumer");
    take(consumer_close, "rd_kafka_consumer_close");
    take(destroy_flags, "rd_kafka_destroy_flags");
    take(queue_get_consumer, "rd_kafka_queue_get_consumer");
    take(queue_destroy, "rd_kafka_queue_destroy");
    take(consume_batch_queue, "rd_kafka_consume_batch_queue");
    take(message_destroy, "rd_kafka_message_destroy");
    take(message_timestamp, "rd_kafka_message_timestamp");
    take(message_leader_epoch, "rd_kafka_message_leader_epoch");
    take(message_errstr, "rd_kafka_message_errstr");
    take(message_headers, "rd_kafka_message_headers");
    take(header_get_all, "rd_kafka_header_get_all");
    take(topic_name, "rd_kafka_topic_name");
    take(places_new, "rd_kafka_topic_partition_list_new");
    take(places_add, "rd_kafka_topic_partition_list_add");
    take(places_destroy, "rd_kafka_topic_partition_list_destroy");
    take(mem_malloc, "rd_kafka_mem_malloc");
    take(incremental_assign, "rd_kafka_incremental_assign");
    take(incremental_unassign, "rd_kafka_incremental_unassign");
    take(error_code, "rd_kafka_error_code");
    take(error_string, "rd_kafka_error_string");
    take(error_destroy, "rd_kafka_error_destroy");
    take(commit, "rd_kafka_commit");
    take(committed, "rd_kafka_committed");
    take(offsets_for_times, "rd_kafka_offsets_for_times");
    take(watermarks, "rd_kafka_query_watermark_offsets");
    take(metadata, "rd_kafka_metadata");
    take(metadata_destroy, "rd_kafka_metadata_destroy");
    if (lacking != nullptr) return lacking;
    return version() >> 24 == MAJOR && laid_out() ? nullptr : "another layout";
  }

  // Whether a list of places looks as declared here.
  bool laid_out() const {
    Places* const places = places_new(2);
    Place* const added = places_add(places, "driftd", 7);
    const bool as_declared = places->count == 1 && places->at == added && added->partition == 7 &&
                             added->offset == INVALID_OFFSET && std::strcmp(added->topic, "driftd") == 0 &&
                             added->metadata == nullptr && added->metadata_size == 0 && added->err == 0;
    places_destroy(places);
    return as_declared;
  }
};

}  // namespace driftd::kafka
