// JSON messages to columns, for the messages that are wholly understood; the rest is left to the Python decoder.
//
// One pass a message, no object made. What is accepted here is read exactly as monitor/sources/formats/json/documents.py reads it (a
// property test holds the two together); anything doubtful, rejections included, is reported as ODD and decided there:
// a key said twice, a lone surrogate, a number beyond float64, a time out of bounds, malformed JSON.
//
// A message is read where it lies if bytes up to a NUL follow that are not part of it, as it does each Python bytes object and each part of
// one: they may be read, and the NUL stops every loop. One without is copied first.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

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

PyMethodDef METHODS[] = {
    {"shape", make_shape, METH_VARARGS, "Where a message keeps what is wanted."},
    {"routes", make_routes, METH_VARARGS, "Which series a model's version belongs to."},
    {"scan", scan<JsonReader>, METH_VARARGS, "Read messages into columns; the number of rows is returned."},
    {"route", route<JsonReader>, METH_VARARGS, "Tell the series and time of each message."},
    {"scan_each", scan_each<JsonReader>, METH_VARARGS, "Read groups of messages, each into its own columns."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_scan", "JSON messages to columns.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__scan() { return PyModule_Create(&MODULE); }
