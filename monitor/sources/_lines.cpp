// Events of a file or of messages as messages where they lie: a capsule of what `_messages.hpp` says, no object an event.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../detectors/sketches/_unlocked.hpp"
#include "_python.hpp"
#include "_weaving.hpp"

#include <memory>
#include <new>
#include <string_view>

namespace {

using namespace driftd;

// The lines of a block, and the block itself: nobody can make it longer or shorter meanwhile.
struct Lines : Messages {
  Lines() = default;
  ~Lines() {
    if (block.obj != nullptr) PyBuffer_Release(&block);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  Py_buffer block{};
  std::vector<Value> held;
};

void let_go(PyObject* capsule) {
  delete static_cast<Lines*>(static_cast<Messages*>(PyCapsule_GetPointer(capsule, MESSAGES)));
}

// split(block, begin, end): the lines that end there, and where the one begins that does not.
PyObject* split(PyObject*, PyObject* arguments) {
  PyObject* block;
  Py_ssize_t begin, end;
  if (!PyArg_ParseTuple(arguments, "Onn", &block, &begin, &end)) return nullptr;
  try {
    auto lines = std::make_unique<Lines>();
    if (PyObject_GetBuffer(block, &lines->block, PyBUF_CONTIG) != 0) return nullptr;  // of bytes that can be written
    if (begin < 0 || end < begin || end > lines->block.len || lines->block.itemsize != 1)
      return PyErr_Format(PyExc_ValueError, "the block has %zd bytes", lines->block.len);
    char* const bytes = static_cast<char*>(lines->block.buf);
    char* rest = nullptr;
    {
      const Unlocked unlocked;
      rest = split_lines(bytes + begin, bytes + end, lines->held);
    }
    lines->values = lines->held.data();
    lines->count = lines->held.size();
    PyObject* const made = PyCapsule_New(static_cast<Messages*>(lines.get()), MESSAGES, let_go);
    if (made == nullptr) return nullptr;
    lines.release();
    return Py_BuildValue("Nn", made, static_cast<Py_ssize_t>(rest - bytes));
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

constexpr size_t LARGE = 1 << 16;  // bytes, to which other threads need not wait

// The events of messages: these lie in the messages, or in bytes that are kept with them.
struct Events : Messages {
  Events() = default;
  ~Events() { Py_XDECREF(kept); }
  Events(const Events&) = delete;

  std::vector<Value> held;
  std::vector<int64_t> places;  // of the message of each
  PyObject* kept = nullptr;     // a list
  std::string woven;            // texts of their own
};

void let_go_of_events(PyObject* capsule) {
  delete static_cast<Events*>(static_cast<Messages*>(PyCapsule_GetPointer(capsule, MESSAGES)));
}

void keep(Events& events, PyObject* object) {
  if (PyList_Append(events.kept, object) != 0) throw Failed();
}

PyObject* capsule_of_events(std::unique_ptr<Events> events) {
  events->values = events->held.data();
  events->count = events->held.size();
  PyObject* const made = checked(PyCapsule_New(static_cast<Messages*>(events.get()), MESSAGES, let_go_of_events));
  events.release();
  return made;
}

// The events of a message as Python cuts it: bytes, or what `weave` made.
void add_cut(Events& events, PyObject* rest, Py_ssize_t at) {
  PyObject* const found = checked(PyObject_CallFunction(rest, "n", at));
  const int failed = PyList_Append(events.kept, found);
  Py_DECREF(found);
  if (failed != 0) throw Failed();
  const Values cut(found);
  for (size_t event = 0; event < cut.size(); ++event) events.held.push_back(cut[event]);
}

// cut(values, key, bytes, lines, rest): the events of messages, and the place of each one's message as bytes.
//
// `key`: of objects in arrays, as `ArrayCutter` has it; None: events are lines. Messages of more bytes or line ends, and those that are
// not understood, are cut by `rest`, which is given their places.
PyObject* cut(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *object, *key, *rest;
    Py_ssize_t most, most_lines;
    checked(PyArg_ParseTuple(arguments, "OOnnO", &object, &key, &most, &most_lines, &rest));
    auto events = std::make_unique<Events>();
    events->kept = checked(PyList_New(0));
    keep(*events, object);
    const Values values(object);
    const bool by_line = key == Py_None;
    ArrayCutter cutter(by_line ? std::string_view() : text_of(key));
    const auto found = [&](const Value& message) {
      const Unlocked unlocked(message.size >= LARGE);
      return by_line ? cut_lines(message, static_cast<size_t>(most_lines), events->held) : cutter.cut(message, events->held);
    };
    for (size_t at = 0; at < values.size(); ++at) {
      const Value& message = values[at];
      if (message.data == nullptr || message.size == 0) {
        events->held.push_back(message);
      } else if (message.size > static_cast<size_t>(most) || !found(message)) {
        add_cut(*events, rest, static_cast<Py_ssize_t>(at));
      }
      events->places.resize(events->held.size(), static_cast<int64_t>(at));
    }
    const auto size = static_cast<Py_ssize_t>(events->places.size() * sizeof(int64_t));
    PyObject* const places = checked(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(events->places.data()), size));
    try {
      return Py_BuildValue("NN", capsule_of_events(std::move(events)), places);
    } catch (...) {
      Py_DECREF(places);
      throw;
    }
  });
}

std::string_view bytes_of(PyObject* object) {
  char* begin = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(object, &begin, &size) != 0) throw Failed();
  return {begin, static_cast<size_t>(size)};
}

// elements(raw, width): the values of a list of JSON, or of each list in it, which has so many; None: it is none such.
PyObject* elements(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* raw;
    Py_ssize_t width;
    checked(PyArg_ParseTuple(arguments, "On", &raw, &width));
    const std::string_view bytes = bytes_of(raw);
    auto found = std::make_unique<Events>();
    found->kept = checked(PyList_New(0));
    keep(*found, raw);
    bool listed;
    {
      const Unlocked unlocked(bytes.size() >= LARGE);
      listed = Lister(static_cast<size_t>(width)).list({bytes.data(), bytes.size(), true}, found->held);
    }
    if (!listed) Py_RETURN_NONE;
    return capsule_of_events(std::move(found));
  });
}

// members(raw): what an object of JSON holds, by its keys, the last of those that are alike; None: it is none, or a key has a backslash.
PyObject* members(PyObject*, PyObject* raw) {
  return guarded([&]() -> PyObject* {
    const std::string_view bytes = bytes_of(raw);
    std::vector<Member> found;
    bool whole;
    {
      const Unlocked unlocked(bytes.size() >= LARGE);
      whole = members_of(bytes.data(), bytes.data() + bytes.size(), found);
    }
    if (!whole) Py_RETURN_NONE;
    PyObject* const made = checked(PyDict_New());
    for (const Member& each : found) {
      PyObject* const key = PyUnicode_DecodeUTF8(each.key.data(), static_cast<Py_ssize_t>(each.key.size()), nullptr);
      PyObject* const value = PyBytes_FromStringAndSize(each.value.data, static_cast<Py_ssize_t>(each.value.size));
      const bool failed = key == nullptr || value == nullptr || PyDict_SetItem(made, key, value) != 0;
      const bool undecodable = key == nullptr && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError);
      Py_XDECREF(key);
      Py_XDECREF(value);
      if (!failed) continue;
      Py_DECREF(made);
      if (!undecodable) throw Failed();
      PyErr_Clear();
      Py_RETURN_NONE;
    }
    return made;
  });
}

// weave(texts, threads, rows, most): events, new bytes; None: they are more than `most`, or a value is nothing. `threads` are (values, stride,
// offset, bare), as `Thread` has them.
PyObject* weave(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *listed, *given;
    Py_ssize_t rows, most;
    checked(PyArg_ParseTuple(arguments, "O!O!nn", &PyList_Type, &listed, &PyList_Type, &given, &rows, &most));
    std::vector<std::string_view> texts;
    for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) texts.push_back(bytes_of(checked(PyList_GetItem(listed, at))));
    std::vector<Thread> threads;
    for (Py_ssize_t at = 0, size = PyList_Size(given); at < size; ++at) {
      PyObject* values;
      Py_ssize_t stride, offset;
      int bare;
      checked(PyArg_ParseTuple(checked(PyList_GetItem(given, at)), "Onnp", &values, &stride, &offset, &bare));
      const auto* held = static_cast<const Messages*>(checked(PyCapsule_GetPointer(values, MESSAGES)));
      threads.push_back({held->values, held->count, static_cast<size_t>(stride), static_cast<size_t>(offset), bare != 0});
    }
    auto events = std::make_unique<Events>();
    if (!driftd::weave(texts, threads, static_cast<size_t>(rows), static_cast<size_t>(most), events->woven, events->held)) Py_RETURN_NONE;
    return capsule_of_events(std::move(events));
  });
}

const Messages* messages_of(PyObject* capsule) {
  return static_cast<const Messages*>(PyCapsule_GetPointer(capsule, MESSAGES));
}

PyObject* count(PyObject*, PyObject* capsule) {
  const Messages* const messages = messages_of(capsule);
  return messages == nullptr ? nullptr : PyLong_FromSize_t(messages->count);
}

PyObject* size(PyObject*, PyObject* capsule) {
  const Messages* const messages = messages_of(capsule);
  if (messages == nullptr) return nullptr;
  size_t bytes = 0;
  for (size_t at = 0; at < messages->count; ++at) bytes += messages->values[at].size;
  return PyLong_FromSize_t(bytes);
}

// value(messages, at): its bytes.
PyObject* value(PyObject*, PyObject* arguments) {
  PyObject* capsule;
  Py_ssize_t at;
  if (!PyArg_ParseTuple(arguments, "On", &capsule, &at)) return nullptr;
  const Messages* const messages = messages_of(capsule);
  if (messages == nullptr) return nullptr;
  if (at < 0 || static_cast<size_t>(at) >= messages->count)
    return PyErr_Format(PyExc_IndexError, "there are %zd messages", static_cast<Py_ssize_t>(messages->count));
  const Value& found = messages->values[at];
  if (found.data == nullptr) Py_RETURN_NONE;
  return PyBytes_FromStringAndSize(found.data, static_cast<Py_ssize_t>(found.size));
}

PyMethodDef METHODS[] = {
    {"split", split, METH_VARARGS, "split(block, begin, end): the lines that end there, and where the next begins."},
    {"cut", cut, METH_VARARGS, "cut(values, key, bytes, lines, rest): the events of messages, and the place of each one's message."},
    {"elements", elements, METH_VARARGS, "elements(raw, width): the values of a list of JSON, or of each list in it."},
    {"members", members, METH_O, "members(raw): what an object of JSON holds, as it is written."},
    {"weave", weave, METH_VARARGS, "weave(texts, threads, rows, most): events of values that lie elsewhere."},
    {"count", count, METH_O, "count(messages): how many there are."},
    {"size", size, METH_O, "size(messages): the bytes of all of them."},
    {"value", value, METH_VARARGS, "value(messages, at): the bytes of one, None where it has none."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot SLOTS[] = {{0, nullptr}};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_lines", "Events as messages where they lie.", 0, METHODS, SLOTS, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__lines() { return PyModuleDef_Init(&MODULE); }
