// What a schema registry's clients put before messages, found and cut off where the messages lie.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../_python.hpp"

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using namespace driftd;
using std::string_view;

constexpr size_t FRAME = 5;         // bytes: a zero, then the number of a schema
constexpr uint64_t MOST_INDEXES = 32;
constexpr int LONGEST_VARINT = 10;  // bytes
constexpr int32_t NO_FRAME = -1, BROKEN_FRAME = -2;

// The next number of seven bits a byte; false where it does not end.
bool varint(const Value& value, size_t& at, uint64_t& found) {
  found = 0;
  for (int place = 0; place < LONGEST_VARINT && at < value.size; ++place) {
    const auto byte = static_cast<unsigned char>(value.data[at++]);
    found |= static_cast<uint64_t>(byte & 0x7F) << (7 * place);
    if (byte < 0x80) return true;
  }
  return false;
}

// The bytes of a frame: a zero, the number of a schema and, where they are wanted, the indexes of a Protobuf message. 0: there is none.
size_t frame_of(const Value& value, bool indexed, bool& broken) {
  if (value.data == nullptr || value.size < FRAME || value.data[0] != 0) return 0;
  size_t at = FRAME;
  if (!indexed) return at;
  uint64_t count, index;
  broken = true;
  if (!varint(value, at, count)) return 0;
  count = (count >> 1) ^ (uint64_t{0} - (count & 1));
  if (count > MOST_INDEXES) return 0;
  for (; count > 0; --count)
    if (!varint(value, at, index)) return 0;
  broken = false;
  return at;
}

// (numbers of frames int32[n], NO_FRAME or BROKEN_FRAME where there is none, and the frames, each once)
PyObject* frames(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* listed;
    int indexed;
    checked(PyArg_ParseTuple(arguments, "Op", &listed, &indexed));
    const Values values(listed);
    std::vector<int32_t> codes(values.size());
    std::vector<string_view> kept;
    std::unordered_map<string_view, int32_t> known;
    int32_t last = NO_FRAME;
    for (size_t at = 0; at < codes.size(); ++at) {
      bool broken = false;
      const string_view frame(values[at].data, frame_of(values[at], indexed != 0, broken));
      codes[at] = broken ? BROKEN_FRAME : NO_FRAME;
      if (frame.empty()) continue;
      if (last == NO_FRAME || kept[static_cast<size_t>(last)] != frame) {
        const auto [found, is_new] = known.emplace(frame, static_cast<int32_t>(kept.size()));
        if (is_new) kept.push_back(frame);
        last = found->second;
      }
      codes[at] = last;
    }
    PyObject* list = checked(PyList_New(static_cast<Py_ssize_t>(kept.size())));
    for (size_t at = 0; at < kept.size(); ++at) {
      PyObject* frame = PyBytes_FromStringAndSize(kept[at].data(), static_cast<Py_ssize_t>(kept[at].size()));
      if (frame != nullptr && PyList_SetItem(list, static_cast<Py_ssize_t>(at), frame) == 0) continue;
      Py_DECREF(list);
      throw Failed();
    }
    return checked(Py_BuildValue("(y#N)", codes.empty() ? "" : reinterpret_cast<const char*>(codes.data()),
                                 static_cast<Py_ssize_t>(codes.size() * sizeof(int32_t)), list));
  });
}

struct Cut {
  std::vector<Value> values;
  Messages messages;
};

void destroy_cut(PyObject* capsule) { delete static_cast<Cut*>(PyCapsule_GetContext(capsule)); }

// Where values lie from their own bytes on, int64[n]; a negative one: there is none. Who asks keeps the values.
PyObject* cut(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *listed, *offsets;
    checked(PyArg_ParseTuple(arguments, "OO", &listed, &offsets));
    const Values values(listed);
    const Buffer offsets_buffer(offsets, sizeof(int64_t), static_cast<Py_ssize_t>(values.size()));
    auto made = std::make_unique<Cut>();
    made->values.resize(values.size());
    for (size_t at = 0; at < values.size(); ++at) {
      const int64_t from = offsets_buffer.as<int64_t>()[at];
      if (values[at].data == nullptr || from < 0 || static_cast<uint64_t>(from) > values[at].size) continue;
      made->values[at] = {values[at].data + from, values[at].size - static_cast<size_t>(from), values[at].ended};
    }
    made->messages = {made->values.data(), made->values.size()};
    PyObject* capsule = checked(PyCapsule_New(&made->messages, MESSAGES, destroy_cut));
    if (PyCapsule_SetContext(capsule, made.get()) != 0) {
      Py_DECREF(capsule);
      throw Failed();
    }
    made.release();
    return capsule;
  });
}

PyMethodDef METHODS[] = {
    {"frames", frames, METH_VARARGS, "Tell the frame of each value."},
    {"cut", cut, METH_VARARGS, "Where values lie behind their frames."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_frames", "Frames of a schema registry's clients.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__frames() { return PyModule_Create(&MODULE); }
