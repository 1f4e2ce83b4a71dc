// What compiled parts need of Python: arrays, texts, capsules, the values of messages.
#pragma once

#include "_messages.hpp"

#include <Python.h>

#include <memory>
#include <new>
#include <string_view>
#include <vector>

namespace driftd {

struct Failed {};  // a Python error is set

template <typename T>
T checked(T found) {
  if (!found) throw Failed();
  return found;
}

class Buffer {
 public:
  Buffer(PyObject* object, Py_ssize_t itemsize, Py_ssize_t least) {
    if (PyObject_GetBuffer(object, &view_, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) throw Failed();
    if (view_.itemsize != itemsize || view_.len < least * itemsize) {
      PyBuffer_Release(&view_);
      PyErr_SetString(PyExc_ValueError, "an array has another type or is too short");
      throw Failed();
    }
  }
  ~Buffer() { PyBuffer_Release(&view_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  template <typename T>
  T* as() const { return static_cast<T*>(view_.buf); }
  Py_ssize_t size() const { return view_.len / view_.itemsize; }

 private:
  Py_buffer view_;
};

inline std::string_view text_of(PyObject* object) {
  Py_ssize_t size = 0;
  const char* text = checked(PyUnicode_AsUTF8AndSize(object, &size));
  return {text, static_cast<size_t>(size)};
}

inline int int_of(PyObject* object) {
  const long found = PyLong_AsLong(object);
  if (found == -1 && PyErr_Occurred()) throw Failed();
  return static_cast<int>(found);
}

template <typename T>
void destroy(PyObject* capsule) {
  delete static_cast<T*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
}

template <typename T>
PyObject* capsule_of(std::unique_ptr<T> made, const char* name) {
  PyObject* capsule = checked(PyCapsule_New(made.get(), name, destroy<T>));
  made.release();
  return capsule;
}

template <typename Work>
PyObject* guarded(Work work) {
  try {
    return work();
  } catch (const Failed&) {
    return nullptr;
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

// The value that an element of a list is: none where it is no bytes.
inline Value value_of(PyObject* item) {
  char* begin = nullptr;
  Py_ssize_t size = 0;
  if (!PyBytes_Check(item)) return {};
  if (PyBytes_AsStringAndSize(item, &begin, &size) != 0) throw Failed();
  return {begin, static_cast<size_t>(size), true};
}

inline const Messages& messages_of(PyObject* capsule) {
  return *static_cast<const Messages*>(checked(PyCapsule_GetPointer(capsule, MESSAGES)));
}

// The values of messages: of a list of bytes, or where somebody else has them. They must be kept, and nobody may change them.
class Values {
 public:
  explicit Values(PyObject* object) {
    if (!PyList_Check(object)) {
      const Messages& found = messages_of(object);
      first_ = found.values;
      count_ = found.count;
      return;
    }
    own_.resize(static_cast<size_t>(PyList_Size(object)));
    for (size_t at = 0; at < own_.size(); ++at) own_[at] = value_of(checked(PyList_GetItem(object, at)));
    first_ = own_.data();
    count_ = own_.size();
  }
  Values(const Values&) = delete;

  size_t size() const { return count_; }
  const Value& operator[](size_t at) const { return first_[at]; }

 private:
  std::vector<Value> own_;
  const Value* first_ = nullptr;
  size_t count_ = 0;
};

}  // namespace driftd
