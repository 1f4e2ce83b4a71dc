// The native reader for Python: a consumer, its batches and the records of a topic, each a capsule. No object a message.
//
// The interpreter lock is released while the library is waited for, and while what it brought is taken apart: getting it back from a
// thread in Python takes up to a millisecond, so it is let go of once a batch. What is no longer needed is freed at the next call.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../../detectors/sketches/_unlocked.hpp"
#include "_client.hpp"

#include <dlfcn.h>
#include <new>

namespace {

using namespace driftd;
using namespace driftd::kafka;

constexpr const char *CLIENT = "monitor.sources.kafka._native.Client", *BATCH = "monitor.sources.kafka._native.Batch",
                     *PART = "monitor.sources.kafka._native.Part";

Library library;
bool loaded = false;
PyObject* failed_type = nullptr;

struct Failed {};  // a Python error is set

template <typename T>
T checked(T found) {
  if (!found) throw Failed();
  return found;
}

// A reference that is let go of.
class Owned {
 public:
  explicit Owned(PyObject* object) : object_(checked(object)) {}
  ~Owned() { Py_XDECREF(object_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_;
};

PyObject* text_of(const std::string& text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

void raise(const Failure& failure) {
  try {
    const Owned reason(text_of(failure.reason));
    const Owned arguments(Py_BuildValue("(iOO)", failure.code, reason.get(), failure.fatal ? Py_True : Py_False));
    PyErr_SetObject(failed_type, arguments.get());
  } catch (const Failed&) {
  }
}

template <typename Work>
PyObject* guarded(Work work) {
  try {
    return work();
  } catch (const Failed&) {
    return nullptr;
  } catch (const Failure& failure) {
    raise(failure);
    return nullptr;
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

using SharedClient = std::shared_ptr<Client>;
using SharedBatch = std::shared_ptr<Batch>;

// Whether a client goes with this, which ends its threads.
bool is_last(const SharedClient& client) { return client.use_count() == 1; }
bool is_last(const SharedBatch& batch) { return batch.use_count() == 1 && is_last(batch->client); }
bool is_last(const Part& part) { return part.batch.use_count() == 1 && is_last(part.batch->client); }

template <typename T>
void destroy(PyObject* capsule) {
  std::unique_ptr<T> held(static_cast<T*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))));
  if (!is_last(*held)) return;
  const Unlocked unlocked;
  held.reset();
}

template <typename T>
PyObject* capsule_of(std::unique_ptr<T> made, const char* name) {
  PyObject* capsule = checked(PyCapsule_New(made.get(), name, destroy<T>));
  made.release();
  return capsule;
}

// What a capsule of a client holds: nothing once it is closed.
SharedClient client_of(PyObject* object) {
  SharedClient client = *static_cast<SharedClient*>(checked(PyCapsule_GetPointer(object, CLIENT)));
  if (client == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the consumer is closed");
    throw Failed();
  }
  if (client->elsewhere()) {
    PyErr_SetString(PyExc_RuntimeError, "the consumer belongs to the process that this one was forked from");
    throw Failed();
  }
  return client;
}

SharedBatch batch_of(PyObject* object) { return *static_cast<SharedBatch*>(checked(PyCapsule_GetPointer(object, BATCH))); }

Part& part_of(PyObject* object) { return *static_cast<Part*>(checked(PyCapsule_GetPointer(object, PART))); }

// Offsets from [(topic, partition, offset, metadata), …].
std::vector<Offset> offsets_from(PyObject* listed) {
  std::vector<Offset> found;
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
    const char *topic, *metadata;
    int partition;
    long long offset;
    Py_ssize_t metadata_size;
    checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "siLs#", &topic, &partition, &offset, &metadata, &metadata_size));
    found.push_back({topic, partition, offset, {metadata, static_cast<size_t>(metadata_size)}, 0});
  }
  return found;
}

template <typename T, typename Make>
PyObject* list_of(const std::vector<T>& found, Make make) {
  Owned list(PyList_New(static_cast<Py_ssize_t>(found.size())));
  for (size_t at = 0; at < found.size(); ++at)
    if (PyList_SetItem(list.get(), static_cast<Py_ssize_t>(at), checked(make(found[at]))) != 0) throw Failed();
  return list.release();
}

PyObject* told(const Offset& offset) {
  const Owned topic(text_of(offset.topic)), metadata(text_of(offset.metadata));
  return Py_BuildValue("(OiLOi)", topic.get(), offset.partition, static_cast<long long>(offset.offset), metadata.get(), offset.err);
}

// [(topic, records), …]
PyObject* list_of(std::vector<TopicPart>& parts) {
  Owned list(PyList_New(0));
  for (TopicPart& each : parts) {
    const Owned topic(text_of(each.topic)), part(capsule_of(std::move(each.part), PART));
    const Owned pair(PyTuple_Pack(2, topic.get(), part.get()));
    if (PyList_Append(list.get(), pair.get()) != 0) throw Failed();
  }
  return list.release();
}

PyObject* bytes_of(const void* data, size_t size) {
  if (data == nullptr) Py_RETURN_NONE;
  return PyBytes_FromStringAndSize(static_cast<const char*>(data), static_cast<Py_ssize_t>(size));
}

// --- the library ---------------------------------------------------------------------------------------------------

// Takes the functions out of what a module of Python has loaded, itself or a library that it needs. Returns the version.
PyObject* load(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    const char* path;
    checked(PyArg_ParseTuple(arguments, "s", &path));
    void* const module = dlopen(path, RTLD_NOW | RTLD_NOLOAD);  // kept: it must not go while we hold its functions
    if (module == nullptr) {
      PyErr_SetString(PyExc_OSError, "the Python client is not loaded");
      throw Failed();
    }
    Library found{};
    if (const char* wrong = found.load([&](const char* name) { return dlsym(module, name); })) {
      PyErr_Format(PyExc_OSError, "librdkafka is another than the one known here: %s", wrong);
      throw Failed();
    }
    library = found;
    loaded = true;
    return PyLong_FromLong(library.version());
  });
}

// --- a consumer ----------------------------------------------------------------------------------------------------

PyObject* connect(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* listed;
    checked(PyArg_ParseTuple(arguments, "O!", &PyList_Type, &listed));
    if (!loaded) {
      PyErr_SetString(PyExc_RuntimeError, "no library is loaded");
      throw Failed();
    }
    Properties properties;
    for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
      const char *name, *value;
      checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "sz", &name, &value));
      properties.emplace_back(name, value != nullptr ? std::optional<std::string>(value) : std::nullopt);
    }
    auto client = std::make_shared<Client>(library);
    {
      const Unlocked unlocked;
      client->open(properties);
    }
    return capsule_of(std::make_unique<SharedClient>(std::move(client)), CLIENT);
  });
}

// Ends its connections; it is gone with the last of its batches.
PyObject* close_client(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    SharedClient client = client_of(capsule);
    static_cast<SharedClient*>(PyCapsule_GetPointer(capsule, CLIENT))->reset();
    {
      const Unlocked unlocked;
      client->close();
      client.reset();
    }
    Py_RETURN_NONE;
  });
}

PyObject* consume(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* capsule;
    int most, enough, milliseconds, step;
    checked(PyArg_ParseTuple(arguments, "Oiiii", &capsule, &most, &enough, &milliseconds, &step));
    const SharedClient client = client_of(capsule);
    SharedBatch batch;
    std::vector<TopicPart> parts;
    {
      const Unlocked unlocked;
      batch = client->consume(static_cast<size_t>(std::max(most, 0)), static_cast<size_t>(std::max(enough, 0)), milliseconds, step);
      parts = parts_of(batch, nullptr);
    }
    const Owned told(list_of(parts));
    const Owned held(capsule_of(std::make_unique<SharedBatch>(std::move(batch)), BATCH));
    return PyTuple_Pack(2, held.get(), told.get());
  });
}

template <typename Work>
PyObject* with_offsets(PyObject* arguments, Work work) {
  return guarded([&]() -> PyObject* {
    PyObject *capsule, *listed;
    checked(PyArg_ParseTuple(arguments, "OO!", &capsule, &PyList_Type, &listed));
    const SharedClient client = client_of(capsule);
    const std::vector<Offset> offsets = offsets_from(listed);
    {
      const Unlocked unlocked;
      work(*client, offsets);
    }
    Py_RETURN_NONE;
  });
}

PyObject* assign(PyObject*, PyObject* arguments) {
  return with_offsets(arguments, [](Client& client, const std::vector<Offset>& offsets) { client.assign(offsets); });
}

PyObject* unassign(PyObject*, PyObject* arguments) {
  return with_offsets(arguments, [](Client& client, const std::vector<Offset>& offsets) { client.unassign(offsets); });
}

PyObject* commit(PyObject*, PyObject* arguments) {
  return with_offsets(arguments, [](Client& client, const std::vector<Offset>& offsets) { client.commit(offsets); });
}

template <typename Work>
PyObject* asked_offsets(PyObject* arguments, Work work) {
  return guarded([&]() -> PyObject* {
    PyObject *capsule, *listed;
    int milliseconds;
    checked(PyArg_ParseTuple(arguments, "OO!i", &capsule, &PyList_Type, &listed, &milliseconds));
    const SharedClient client = client_of(capsule);
    std::vector<Offset> offsets = offsets_from(listed);
    {
      const Unlocked unlocked;
      offsets = work(*client, offsets, milliseconds);
    }
    return list_of(offsets, told);
  });
}

PyObject* committed(PyObject*, PyObject* arguments) {
  return asked_offsets(arguments, [](Client& client, const std::vector<Offset>& wanted, int milliseconds) {
    return client.committed(wanted, milliseconds);
  });
}

PyObject* offsets_for_times(PyObject*, PyObject* arguments) {
  return asked_offsets(arguments, [](Client& client, const std::vector<Offset>& wanted, int milliseconds) {
    return client.offsets_for_times(wanted, milliseconds);
  });
}

PyObject* watermarks(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* capsule;
    const char* topic;
    int partition, milliseconds;
    checked(PyArg_ParseTuple(arguments, "Osii", &capsule, &topic, &partition, &milliseconds));
    const SharedClient client = client_of(capsule);
    const std::string name = topic;
    std::pair<int64_t, int64_t> found;
    {
      const Unlocked unlocked;
      found = client->watermarks(name, partition, milliseconds);
    }
    return Py_BuildValue("(LL)", static_cast<long long>(found.first), static_cast<long long>(found.second));
  });
}

// The ids of brokers; of each topic its name, its error and (id, leader) of its partitions.
PyObject* metadata(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* capsule;
    int milliseconds;
    checked(PyArg_ParseTuple(arguments, "Oi", &capsule, &milliseconds));
    const SharedClient client = client_of(capsule);
    std::unique_ptr<const Metadata, void (*)(const Metadata*)> found(nullptr, library.metadata_destroy);
    {
      const Unlocked unlocked;
      found.reset(client->metadata(milliseconds));
    }
    const std::vector<BrokerMetadata> brokers(found->brokers, found->brokers + found->broker_count);
    const std::vector<TopicMetadata> topics(found->topics, found->topics + found->topic_count);
    const Owned ids(list_of(brokers, [](const BrokerMetadata& broker) { return PyLong_FromLong(broker.id); }));
    const Owned listed(list_of(topics, [](const TopicMetadata& topic) {
      const std::vector<PartitionMetadata> partitions(topic.partitions, topic.partitions + topic.partition_count);
      const Owned places(list_of(partitions, [](const PartitionMetadata& each) { return Py_BuildValue("(ii)", each.id, each.leader); }));
      const Owned name(text_of(topic.topic));
      return Py_BuildValue("(OiO)", name.get(), topic.err, places.get());
    }));
    return Py_BuildValue("(OO)", ids.get(), listed.get());
  });
}

// What the library has told since: [(code, reason, fatal), …].
PyObject* failures(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    return list_of(client_of(capsule)->take_failures(), [](const Failure& failure) {
      const Owned reason(text_of(failure.reason));
      return Py_BuildValue("(iOO)", failure.code, reason.get(), failure.fatal ? Py_True : Py_False);
    });
  });
}

// What brokers have said to commits since: [(code, [offset, …]), …].
PyObject* commits(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    return list_of(client_of(capsule)->take_commits(), [](const Committed& each) {
      const Owned offsets(list_of(each.offsets, told));
      return Py_BuildValue("(iO)", each.code, offsets.get());
    });
  });
}

// --- a batch -------------------------------------------------------------------------------------------------------

PyObject* size(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* { return PyLong_FromSize_t(batch_of(capsule)->messages.size()); });
}

// The bytes that the messages of a batch take.
PyObject* weight(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* { return PyLong_FromSize_t(batch_of(capsule)->weight); });
}

// The places of errors and of ends of partitions.
PyObject* marks(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    return list_of(batch_of(capsule)->marks, [](uint32_t place) { return PyLong_FromUnsignedLong(place); });
  });
}

// One message without its value: topic, partition, offset, error, what is said of it.
PyObject* message(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* capsule;
    Py_ssize_t place;
    checked(PyArg_ParseTuple(arguments, "On", &capsule, &place));
    const SharedBatch batch = batch_of(capsule);
    if (place < 0 || static_cast<size_t>(place) >= batch->messages.size()) {
      PyErr_SetString(PyExc_IndexError, "there is no such message");
      throw Failed();
    }
    const Message& found = *batch->messages[place];
    const char* const said = found.err != 0 ? library.message_errstr(&found) : nullptr;
    const Owned topic(text_of(batch->topic(found))), reason(text_of(said != nullptr ? said : ""));
    return Py_BuildValue("(OiLiO)", topic.get(), found.partition, static_cast<long long>(found.offset), found.err, reason.get());
  });
}

std::vector<uint32_t> places_of(PyObject* listed) {
  std::vector<uint32_t> places;
  for (Py_ssize_t at = 0, count = PyList_Size(listed); at < count; ++at) {
    const unsigned long place = PyLong_AsUnsignedLong(checked(PyList_GetItem(listed, at)));
    if (PyErr_Occurred()) throw Failed();
    places.push_back(static_cast<uint32_t>(std::min<unsigned long>(place, UINT32_MAX)));
  }
  return places;
}

// The records by topic of those at some places: [(topic, records), …].
PyObject* parts(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *capsule, *listed;
    checked(PyArg_ParseTuple(arguments, "OO!", &capsule, &PyList_Type, &listed));
    const SharedBatch batch = batch_of(capsule);
    const std::vector<uint32_t> places = places_of(listed);
    std::vector<TopicPart> found = parts_of(batch, &places);
    return list_of(found);
  });
}

// --- records of one topic ------------------------------------------------------------------------------------------

void destroy_messages(PyObject* capsule) {
  delete static_cast<Messages*>(PyCapsule_GetPointer(capsule, MESSAGES));
  Py_XDECREF(static_cast<PyObject*>(PyCapsule_GetContext(capsule)));
}

// The values where they lie, for who scans them; they are there as long as this is.
PyObject* values(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    const Part& part = part_of(capsule);
    auto messages = std::make_unique<Messages>(Messages{part.values.data(), part.values.size()});
    PyObject* made = checked(PyCapsule_New(messages.get(), MESSAGES, destroy_messages));
    messages.release();
    Py_INCREF(capsule);
    PyCapsule_SetContext(made, capsule);
    return made;
  });
}

PyObject* count(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* { return PyLong_FromSize_t(part_of(capsule).records.size()); });
}

PyObject* value(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* capsule;
    Py_ssize_t place;
    checked(PyArg_ParseTuple(arguments, "On", &capsule, &place));
    const Part& part = part_of(capsule);
    if (place < 0 || static_cast<size_t>(place) >= part.values.size()) {
      PyErr_SetString(PyExc_IndexError, "there is no such record");
      throw Failed();
    }
    return bytes_of(part.values[place].data, part.values[place].size);
  });
}

PyObject* all_values(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    return list_of(part_of(capsule).values, [](const Value& each) { return bytes_of(each.data, each.size); });
  });
}

template <typename Make>
PyObject* of_records(PyObject* capsule, Make make) {
  return guarded([&]() -> PyObject* { return list_of(part_of(capsule).records, make); });
}

PyObject* keys(PyObject*, PyObject* capsule) {
  return of_records(capsule, [](const Message* each) { return bytes_of(each->key, each->key_len); });
}

// Bytes of int32, one a record: who asks makes an array of them.
PyObject* partitions(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    const std::vector<const Message*>& records = part_of(capsule).records;
    PyObject* const made = checked(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(records.size() * sizeof(int32_t))));
    char* at = PyBytes_AsString(made);
    for (const Message* const each : records) at = static_cast<char*>(std::memcpy(at, &each->partition, sizeof(int32_t))) + sizeof(int32_t);
    return made;
  });
}

PyObject* offsets(PyObject*, PyObject* capsule) {
  return of_records(capsule, [](const Message* each) { return PyLong_FromLongLong(each->offset); });
}

// When each was made or taken, milliseconds.
PyObject* stamps(PyObject*, PyObject* capsule) {
  return of_records(capsule, [](const Message* each) {
    int kind = 0;
    return PyLong_FromLongLong(library.message_timestamp(each, &kind));
  });
}

// The headers of one record: [(name, value), …]; none where the name of any is no UTF-8, as with the Python client.
PyObject* headers_told(const Message& record) {
  const std::vector<Header> found = headers_of(library, record);
  Owned list(PyList_New(0));
  for (const Header& each : found) {
    PyObject* const decoded = PyUnicode_FromString(each.name);
    if (decoded == nullptr) {
      if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) throw Failed();
      PyErr_Clear();
      return PyList_New(0);
    }
    const Owned name(decoded), value(bytes_of(each.value, each.size)), pair(PyTuple_Pack(2, name.get(), value.get()));
    if (PyList_Append(list.get(), pair.get()) != 0) throw Failed();
  }
  return list.release();
}

PyObject* headers(PyObject*, PyObject* capsule) {
  return of_records(capsule, [](const Message* each) { return headers_told(*each); });
}

// The last record of each partition: [(partition, offset, kind of timestamp, milliseconds), …].
PyObject* lasts(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    return list_of(part_of(capsule).lasts, [](const Last& each) {
      int kind = 0;
      const int64_t stamp = library.message_timestamp(each.message, &kind);
      return Py_BuildValue("(iLiL)", each.partition, static_cast<long long>(each.message->offset), kind, static_cast<long long>(stamp));
    });
  });
}

// Those before the end of their partition, from {partition: end}.
PyObject* before_ends(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *capsule, *listed, *partition, *end;
    checked(PyArg_ParseTuple(arguments, "OO!", &capsule, &PyDict_Type, &listed));
    std::unordered_map<int32_t, int64_t> ends;
    for (Py_ssize_t place = 0; PyDict_Next(listed, &place, &partition, &end);)
      ends[static_cast<int32_t>(PyLong_AsLong(partition))] = PyLong_AsLongLong(end);
    if (PyErr_Occurred()) throw Failed();
    return capsule_of(before(part_of(capsule), ends), PART);
  });
}

PyObject* only_some(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *capsule, *listed;
    checked(PyArg_ParseTuple(arguments, "OO!", &capsule, &PyList_Type, &listed));
    return capsule_of(only(part_of(capsule), places_of(listed)), PART);
  });
}

PyMethodDef METHODS[] = {
    {"load", load, METH_VARARGS, "Take librdkafka out of a loaded module; its version is returned."},
    {"connect", connect, METH_VARARGS, "Make a consumer of properties."},
    {"close", close_client, METH_O, "End a consumer's connections."},
    {"consume", consume, METH_VARARGS, "Wait for messages: the batch, and its records by topic."},
    {"assign", assign, METH_VARARGS, "Read these, too."},
    {"unassign", unassign, METH_VARARGS, "Read these no more."},
    {"commit", commit, METH_VARARGS, "Commit offsets, without waiting."},
    {"committed", committed, METH_VARARGS, "Ask for committed offsets."},
    {"offsets_for_times", offsets_for_times, METH_VARARGS, "Ask for the offsets at times."},
    {"watermarks", watermarks, METH_VARARGS, "Ask for the first offset and the next."},
    {"metadata", metadata, METH_VARARGS, "Ask for brokers, topics and partitions."},
    {"failures", failures, METH_O, "What the library has told."},
    {"commits", commits, METH_O, "What brokers have said to commits."},
    {"size", size, METH_O, "The messages of a batch, counted."},
    {"weight", weight, METH_O, "The bytes that the messages of a batch take."},
    {"marks", marks, METH_O, "The places of errors and ends."},
    {"message", message, METH_VARARGS, "One message without its value."},
    {"parts", parts, METH_VARARGS, "Records at some places of a batch by topic."},
    {"values", values, METH_O, "The values where they lie."},
    {"count", count, METH_O, "Records, counted."},
    {"value", value, METH_VARARGS, "The value of one record."},
    {"all_values", all_values, METH_O, "The value of each record."},
    {"keys", keys, METH_O, "The key of each record."},
    {"partitions", partitions, METH_O, "The partition of each record."},
    {"offsets", offsets, METH_O, "The offset of each record."},
    {"stamps", stamps, METH_O, "The timestamp of each record."},
    {"headers", headers, METH_O, "The headers of each record."},
    {"lasts", lasts, METH_O, "The last record of each partition."},
    {"before", before_ends, METH_VARARGS, "The records before the ends of their partitions."},
    {"only", only_some, METH_VARARGS, "The records at some places."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_native", "Messages of Kafka, where librdkafka holds them.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() {
  PyObject* const module = PyModule_Create(&MODULE);
  if (module == nullptr) return nullptr;
  failed_type = PyErr_NewException("monitor.sources.kafka._native.FailedError", nullptr, nullptr);
  if (failed_type == nullptr || PyModule_AddObjectRef(module, "FailedError", failed_type) != 0) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
