// JSON inference messages without their numbers (HOT): each flat array of numbers under a key `data` goes to doubles, the rest stays
// text, which is as a rule the same from message to message.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../../../detectors/sketches/_unlocked.hpp"
#include "_compacting.hpp"

#include <new>
#include <string>

namespace {

using namespace driftd;

PyObject* text_or_none(std::string_view text, bool there) {
  if (!there) Py_RETURN_NONE;
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "strict");
}

// What is left of a message, how many numbers it has, its id; None where anything is not wholly understood, or there is no room.
PyObject* compacted(PyObject* raw, double* room, double* limit) {
  char* bytes;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(raw, &bytes, &size) != 0) return nullptr;  // a NUL stands behind it
  try {
    Compactor compactor(bytes, bytes + size, room, limit);
    bool understood = false;
    {
      const Unlocked unlocked;
      understood = compactor.run();
    }
    if (!understood) Py_RETURN_NONE;
    PyObject* const id = text_or_none(compactor.id, compactor.has_id);
    if (id == nullptr) return nullptr;
    return Py_BuildValue("y#nN", compactor.rest.data(), static_cast<Py_ssize_t>(compactor.rest.size()),
                         static_cast<Py_ssize_t>(compactor.numbers.size()), id);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

// compact(raw, numbers, at): the same; its numbers are written from that place on.
PyObject* compact(PyObject*, PyObject* arguments) {
  PyObject* raw;
  Py_buffer numbers;
  Py_ssize_t at;
  if (!PyArg_ParseTuple(arguments, "Sw*n", &raw, &numbers, &at)) return nullptr;
  const auto count = numbers.len / static_cast<Py_ssize_t>(sizeof(double));
  PyObject* found = nullptr;
  if (at < 0 || at > count || reinterpret_cast<uintptr_t>(numbers.buf) % alignof(double) != 0) {
    PyErr_Format(PyExc_ValueError, "there are %zd numbers", count);
  } else {
    auto* const begin = static_cast<double*>(numbers.buf);
    found = compacted(raw, begin + at, begin + count);
  }
  PyBuffer_Release(&numbers);
  return found;
}

PyMethodDef METHODS[] = {{"compact", compact, METH_VARARGS, "compact(raw, numbers, at): what is left of a message, how many numbers it has, its id; or None."},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot SLOTS[] = {{0, nullptr}};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_compact", "JSON inference messages without their numbers.", 0, METHODS, SLOTS, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__compact() { return PyModuleDef_Init(&MODULE); }
