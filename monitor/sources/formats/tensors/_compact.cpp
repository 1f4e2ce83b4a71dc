// JSON inference messages without their numbers (HOT): each flat array of numbers under a key `data` goes to doubles, the rest stays
// text, which is as a rule the same from message to message.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../../../detectors/sketches/_unlocked.hpp"
#include "_compacting.hpp"

#include <new>
#include <string>
#include <vector>

namespace {

using namespace driftd;

PyObject* text_or_none(std::string_view text, bool there) {
  if (!there) Py_RETURN_NONE;
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "strict");
}

// compact(raw): what is left of it, its numbers as doubles, its id; None where anything is not wholly understood.
PyObject* compact(PyObject*, PyObject* raw) {
  char* bytes;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(raw, &bytes, &size) != 0) return nullptr;  // a NUL stands behind it
  try {
    Compactor compactor(bytes, bytes + size);
    bool understood = false;
    {
      const Unlocked unlocked;
      understood = compactor.run();
    }
    if (!understood) Py_RETURN_NONE;
    PyObject* const id = text_or_none(compactor.id, compactor.has_id);
    if (id == nullptr) return nullptr;
    return Py_BuildValue("y#y#N", compactor.rest.data(), static_cast<Py_ssize_t>(compactor.rest.size()),
                         compactor.numbers.empty() ? "" : reinterpret_cast<const char*>(compactor.numbers.data()),
                         static_cast<Py_ssize_t>(compactor.numbers.size() * sizeof(double)), id);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

PyMethodDef METHODS[] = {{"compact", compact, METH_O, "compact(raw): what is left of a message, its numbers, its id; or None."},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot SLOTS[] = {{0, nullptr}};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_compact", "JSON inference messages without their numbers.", 0, METHODS, SLOTS, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__compact() { return PyModuleDef_Init(&MODULE); }
