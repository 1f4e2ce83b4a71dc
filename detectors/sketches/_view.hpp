// Arrays handed over from Python, read in place.
#pragma once

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "_unlocked.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

// A buffer of another object, given back at the end of the scope.
class View {
  public:
    View(PyObject *object, int flags) : held_(PyObject_GetBuffer(object, &buffer, flags) == 0) {
        if (!held_) PyErr_Clear();
    }
    ~View() {
        if (held_) PyBuffer_Release(&buffer);
    }
    View(const View &) = delete;
    View &operator=(const View &) = delete;

    // Whether it holds native numbers of this width, one of the given format letters, in so many dimensions.
    bool holds(const char *letters, Py_ssize_t width, int dimensions) const {
        return held_ && buffer.ndim == dimensions && buffer.itemsize == width && buffer.format != nullptr &&
               std::strlen(buffer.format) == 1 && std::strchr(letters, buffer.format[0]) != nullptr;
    }

    bool aligned(std::size_t width) const { return reinterpret_cast<std::uintptr_t>(buffer.buf) % width == 0; }

    Py_buffer buffer{};

  private:
    bool held_;
};

template <typename Number>
Number at(const char *address) {  // an array may begin at any byte
    Number number;
    std::memcpy(&number, address, sizeof number);
    return number;
}
