// Avro messages to columns, for the messages that are wholly understood: what the rest has to do with Python is in _scanning.hpp.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../json/_scanning.hpp"
#include "_document.hpp"
#include "_reader.hpp"

namespace {

struct AvroReader : avro::Reader {
  using avro::Reader::Reader;
  static constexpr const char* SHAPE = "monitor.sources.formats.avro._avro.Shape";
};

// A type from (type, meaning, size, scale, [place of a type below, …], [name, …], what a constant is, whole, real).
avro::Described described(PyObject* object) {
  avro::Described told;
  PyObject *below, *names;
  int type, meaning, said;
  long long size, whole;
  checked(PyArg_ParseTuple(object, "iiLiO!O!iLd", &type, &meaning, &size, &told.scale, &PyList_Type, &below, &PyList_Type, &names,
                           &said, &whole, &told.real));
  told.type = static_cast<avro::Type>(type);
  told.meaning = static_cast<avro::Meaning>(meaning);
  told.said = static_cast<avro::Said>(said);
  told.size = size;
  told.whole = whole;
  for (Py_ssize_t at = 0, count = PyList_Size(below); at < count; ++at)
    told.below.push_back(static_cast<uint32_t>(int_of(checked(PyList_GetItem(below, at)))));
  for (Py_ssize_t at = 0, count = PyList_Size(names); at < count; ++at)
    told.names.emplace_back(text_of(checked(PyList_GetItem(names, at))));
  return told;
}

Owned kept(PyObject* object) {
  Py_XINCREF(object);
  return Owned(object);
}

// Whether a type holds what it must, so that no step looks beyond it.
bool is_whole(const avro::Described& told, size_t types) {
  const size_t below = told.below.size();
  for (const uint32_t type : told.below)
    if (type >= types) return false;
  switch (told.type) {
    case avro::Type::record: return told.names.size() == below;
    case avro::Type::array:
    case avro::Type::map: return below == 1;
    case avro::Type::choice: return true;
    case avro::Type::constant: return below == 0 && (told.said != avro::Said::text || told.names.size() == 1);
    default: return below == 0 && told.type <= avro::Type::constant && told.scale >= 0;
  }
}

// A shape from what one schema wrote: types, the bytes before the datum, and what `describe` takes.
PyObject* make_shape(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *types, *told;
    Py_ssize_t begin;
    checked(PyArg_ParseTuple(arguments, "O!nO!", &PyList_Type, &types, &begin, &PyTuple_Type, &told));
    auto shape = std::make_unique<avro::WrittenShape>();
    describe(*shape, told);
    shape->begin = static_cast<size_t>(begin);
    for (Py_ssize_t at = 0, size = PyList_Size(types); at < size; ++at)
      shape->types.push_back(described(checked(PyList_GetItem(types, at))));
    bool whole = !shape->types.empty() && begin >= 0;
    for (const avro::Described& type : shape->types) whole = whole && is_whole(type, shape->types.size());
    if (!whole || !shape->bind()) {
      PyErr_SetString(PyExc_ValueError, "the types of a schema are not whole, or too many");
      throw Failed();
    }
    return capsule_of(std::move(shape), AvroReader::SHAPE);
  });
}

// Types as `shape` takes them, with ([name, …], what makes the meaning of a value or None, a constant's value) of each beside it.
PyObject* make_types(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *types, *known;
    checked(PyArg_ParseTuple(arguments, "O!O!", &PyList_Type, &types, &PyList_Type, &known));
    auto made = std::make_unique<KnownTypes>();
    bool whole = PyList_Size(types) > 0 && PyList_Size(types) == PyList_Size(known);
    for (Py_ssize_t at = 0, size = whole ? PyList_Size(types) : 0; at < size; ++at) {
      PyObject *names, *meaning, *value;
      checked(PyArg_ParseTuple(checked(PyList_GetItem(known, at)), "O!OO", &PyList_Type, &names, &meaning, &value));
      made->push_back({described(checked(PyList_GetItem(types, at))), {}, kept(meaning == Py_None ? nullptr : meaning), kept(value)});
      for (Py_ssize_t place = 0, many = PyList_Size(names); place < many; ++place)
        made->back().names.push_back(kept(checked(PyList_GetItem(names, place))));
      whole = whole && is_whole(made->back().told, static_cast<size_t>(size)) && is_known(made->back());
    }
    if (!whole) {
      PyErr_SetString(PyExc_ValueError, "the types of a schema are not whole");
      throw Failed();
    }
    return capsule_of(std::move(made), DOCUMENTS);
  });
}

// What a message holds from a byte on, as Python has it; a number where it is refused: why, as it is told in place of a series.
PyObject* document(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* types;
    const char* raw;
    Py_ssize_t size, begin;
    checked(PyArg_ParseTuple(arguments, "Oy#n", &types, &raw, &size, &begin));
    const auto& known = *static_cast<KnownTypes*>(checked(PyCapsule_GetPointer(types, DOCUMENTS)));
    DocumentReader reader(known);
    Owned found = reader.read(raw + std::clamp<Py_ssize_t>(begin, 0, size), raw + size);
    return found.get() != nullptr ? PyTuple_Pack(1, found.get()) : PyLong_FromLong(reader.verdict());
  });
}

PyMethodDef METHODS[] = {
    {"shape", make_shape, METH_VARARGS, "Where what a schema wrote keeps what is wanted."},
    {"routes", make_routes, METH_VARARGS, "Which series a model's version belongs to."},
    {"scan", scan<AvroReader>, METH_VARARGS, "Read messages into columns; the number of rows is returned."},
    {"route", route<AvroReader>, METH_VARARGS, "Tell the series and time of each message."},
    {"scan_each", scan_each<AvroReader>, METH_VARARGS, "Read groups of messages, each into its own columns."},
    {"types", make_types, METH_VARARGS, "The types of a schema, as documents are read by."},
    {"document", document, METH_VARARGS, "Read a message to objects, in a tuple; or tell why it is refused."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_avro", "Avro messages to columns.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__avro() { return PyModule_Create(&MODULE); }
