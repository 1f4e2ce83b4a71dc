// Lines of a file as messages where they lie: a capsule of what `_messages.hpp` says, no object a line.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../detectors/sketches/_unlocked.hpp"
#include "_splitting.hpp"

#include <memory>
#include <new>

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

void destroy(PyObject* capsule) {
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
    PyObject* const made = PyCapsule_New(static_cast<Messages*>(lines.get()), MESSAGES, destroy);
    if (made == nullptr) return nullptr;
    lines.release();
    return Py_BuildValue("Nn", made, static_cast<Py_ssize_t>(rest - bytes));
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

const Messages* messages_of(PyObject* capsule) {
  return static_cast<const Messages*>(PyCapsule_GetPointer(capsule, MESSAGES));
}

PyObject* count(PyObject*, PyObject* capsule) {
  const Messages* const messages = messages_of(capsule);
  return messages == nullptr ? nullptr : PyLong_FromSize_t(messages->count);
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
  return PyBytes_FromStringAndSize(found.data, static_cast<Py_ssize_t>(found.size));
}

PyMethodDef METHODS[] = {
    {"split", split, METH_VARARGS, "split(block, begin, end): the lines that end there, and where the next begins."},
    {"count", count, METH_O, "count(messages): how many there are."},
    {"value", value, METH_VARARGS, "value(messages, at): the bytes of one."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot SLOTS[] = {{0, nullptr}};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_lines", "Lines of a file as messages.", 0, METHODS, SLOTS, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__lines() { return PyModuleDef_Init(&MODULE); }
