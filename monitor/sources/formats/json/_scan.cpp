// JSON messages to columns, for the messages that are wholly understood; the rest is left to the Python decoder.
//
// One pass a message, no object made. What is accepted here is read exactly as monitor/sources/formats/json/documents.py reads it (a
// property test holds the two together); anything doubtful is reported as ODD: a key said twice, a lone surrogate, a number beyond float64,
// a time out of bounds, malformed JSON. `refuse` then tells those that are refused for good; the others are decided there.
//
// A message is read where it lies if bytes up to a NUL follow that are not part of it, as it does each Python bytes object and each part of
// one: they may be read, and the NUL stops every loop. One without is copied first.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "_knowing.hpp"
#include "_refusing.hpp"
#include "_scanning.hpp"

namespace {

struct JsonReader : Reader {
  using Reader::Reader;
  using Shape_ = Shape;
  static constexpr const char* SHAPE = "monitor.sources.formats.json._scan.Shape";
  static constexpr bool ENDED = true;

  int32_t verdict() const { return ODD; }
};

PyObject* make_shape(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    auto shape = std::make_unique<Shape>();
    describe(*shape, arguments);
    return capsule_of(std::move(shape), JsonReader::SHAPE);
  });
}

constexpr const char* REFUSING = "monitor.sources.formats._scan.Refusing";

// What is asked before a message is refused, from [([key, …], role), …].
PyObject* make_refusing(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* listed;
    int modelless;
    checked(PyArg_ParseTuple(arguments, "O!p", &PyList_Type, &listed, &modelless));
    auto refusing = std::make_unique<Refusing>();
    refusing->modelless = modelless != 0;
    for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
      PyObject* path;
      int role;
      checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "O!i", &PyList_Type, &path, &role));
      Asked* asked = &refusing->root;
      for (Py_ssize_t key = 0, keys = PyList_Size(path); key < keys; ++key)
        asked = &asked->at(text_of(checked(PyList_GetItem(path, key))));
      if (role < 0 || role >= roles || asked == &refusing->root) {
        PyErr_SetString(PyExc_ValueError, "no such role, or no path");
        throw Failed();
      }
      asked->role = role;
      refusing->featureless = refusing->featureless && role != of_all_features;
    }
    return capsule_of(std::move(refusing), REFUSING);
  });
}

struct OddMessage {
  Py_ssize_t at;
  Value value;
};

// The messages that are ODD. No other one is touched: most are not.
std::vector<OddMessage> odd_of(PyObject* values, const Buffer& series) {
  std::vector<OddMessage> found;
  const bool is_list = PyList_Check(values);
  const auto count = is_list ? PyList_Size(values) : static_cast<Py_ssize_t>(messages_of(values).count);
  for (Py_ssize_t at = 0, size = std::min(count, series.size()); at < size; ++at) {
    if (series.as<int32_t>()[at] != ODD) continue;
    const Value value = is_list ? value_of(checked(PyList_GetItem(values, at))) : messages_of(values).values[at];
    if (value.data != nullptr) found.push_back({at, value});
  }
  return found;
}

// Says of messages that are ODD why they are refused, or that they are nobody's, where that is certain; the times of the latter and of
// those that are of the future are told.
PyObject* refuse(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *refusing, *routes, *values, *times, *series;
    long long unit, latest;
    checked(PyArg_ParseTuple(arguments, "OOOLLOO", &refusing, &routes, &values, &unit, &latest, &times, &series));
    const Buffer series_buffer(series, sizeof(int32_t), 0), times_buffer(times, sizeof(int64_t), series_buffer.size());
    const auto& asked = *static_cast<Refusing*>(checked(PyCapsule_GetPointer(refusing, REFUSING)));
    Refuser refuser(asked, routes_of(routes), unit, latest);
    const std::vector<OddMessage> odd = odd_of(values, series_buffer);
    {
      const Unlocked unlocked;
      std::string copy;
      for (const auto& [at, value] : odd) {
        string_view message(value.data, value.size);
        if (value.size <= MAX_BYTES && (!value.ended || value.data[value.size] != '\0')) message = copy.assign(message);
        const int32_t told = refuser.judge(message.data(), message.data() + message.size());
        if (told == UNMONITORED || told == IN_FUTURE) times_buffer.as<int64_t>()[at] = refuser.time();
        series_buffer.as<int32_t>()[at] = told;
      }
    }
    Py_RETURN_NONE;
  });
}

constexpr const char* KNOWN = "monitor.sources.formats._scan.Known";

// The features that all series know, from ([key, …], [name, …]).
PyObject* make_known(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *path, *names;
    checked(PyArg_ParseTuple(arguments, "O!O!", &PyList_Type, &path, &PyList_Type, &names));
    auto known = std::make_unique<Known>();
    for (Py_ssize_t at = 0, size = PyList_Size(path); at < size; ++at)
      known->path.emplace_back(text_of(checked(PyList_GetItem(path, at))));
    for (Py_ssize_t at = 0, size = PyList_Size(names); at < size; ++at)
      known->names.add(text_of(checked(PyList_GetItem(names, at))), 0);
    return capsule_of(std::move(known), KNOWN);
  });
}

// The message as a NUL follows it, there until the next is asked for.
string_view ended(const Value& value, std::string& copy) {
  const string_view message(value.data, value.size);
  return value.ended && value.data[value.size] == '\0' ? message : string_view(copy.assign(message));
}

// Which of the messages at some places may hold features that are not known: a flag each.
PyObject* strangers(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *known, *values, *places, *flags;
    checked(PyArg_ParseTuple(arguments, "OOOO", &known, &values, &places, &flags));
    const Buffer places_buffer(places, sizeof(int64_t), 0), flags_buffer(flags, sizeof(uint8_t), places_buffer.size());
    Knower knower(*static_cast<Known*>(checked(PyCapsule_GetPointer(known, KNOWN))));
    const bool is_list = PyList_Check(values);
    const auto count = is_list ? PyList_Size(values) : static_cast<Py_ssize_t>(messages_of(values).count);
    std::string copy;
    for (Py_ssize_t each = 0; each < places_buffer.size(); ++each) {
      const int64_t at = places_buffer.as<int64_t>()[each];
      if (at < 0 || at >= count) {
        PyErr_SetString(PyExc_IndexError, "no message stands there");
        throw Failed();
      }
      const Value value = is_list ? value_of(checked(PyList_GetItem(values, at))) : messages_of(values).values[at];
      bool strange = value.data != nullptr;
      if (strange && value.size <= MAX_BYTES) {
        const string_view message = ended(value, copy);
        strange = !knower.knows_all(message.data(), message.data() + message.size());
      }
      flags_buffer.as<uint8_t>()[each] = strange;
    }
    Py_RETURN_NONE;
  });
}

PyMethodDef METHODS[] = {
    {"shape", make_shape, METH_VARARGS, "Where a message keeps what is wanted."},
    {"routes", make_routes, METH_VARARGS, "Which series a model's version belongs to."},
    {"scan", scan<JsonReader>, METH_VARARGS, "Read messages into columns; the number of rows is returned."},
    {"route", route<JsonReader>, METH_VARARGS, "Tell the series and time of each message."},
    {"scan_each", scan_each<JsonReader>, METH_VARARGS, "Read groups of messages, each into its own columns."},
    {"refusing", make_refusing, METH_VARARGS, "What is asked before a message is refused."},
    {"refuse", refuse, METH_VARARGS, "Tell why odd messages are refused."},
    {"known", make_known, METH_VARARGS, "The features that all series know."},
    {"strangers", strangers, METH_VARARGS, "Tell which messages may hold features that are not known."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_scan", "JSON messages to columns.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__scan() { return PyModule_Create(&MODULE); }
