// Protobuf messages to columns by a plan, in one pass and without an object a message.
//
// _wire.hpp reads; here is what Python sees of it. Values are lent: nothing of them is copied but texts that differ.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../../../detectors/sketches/_unlocked.hpp"
#include "../../_python.hpp"
#include "_wire.hpp"

#include <utility>

namespace {

using namespace driftd;
namespace pb = driftd::protobuf;
using std::string_view;

constexpr const char* PLAN = "monitor.sources.formats.protobuf._protobuf.Plan";

// --- Python objects --------------------------------------------------------------------------------------------------

// A reference that is given up at the end.
class Owned {
 public:
  explicit Owned(PyObject* object) : object_(checked(object)) {}
  ~Owned() { Py_XDECREF(object_); }
  Owned(const Owned&) = delete;
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_;
};

template <typename T>
PyObject* bytes_of(const std::vector<T>& numbers, size_t count) {
  return checked(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(numbers.data()), static_cast<Py_ssize_t>(count * sizeof(T))));
}

template <typename Make>
PyObject* list_of(size_t count, Make make) {
  Owned list(PyList_New(static_cast<Py_ssize_t>(count)));
  for (size_t at = 0; at < count; ++at)
    if (PyList_SetItem(list.get(), static_cast<Py_ssize_t>(at), make(at)) != 0) throw Failed();
  return list.release();
}

// Texts as texts, or as bytes.
PyObject* texts_of(const pb::Texts& texts, bool as_bytes) {
  const auto& kept = texts.kept();
  return list_of(kept.size(), [&](size_t at) {
    const auto size = static_cast<Py_ssize_t>(kept[at].size());
    return checked(as_bytes ? PyBytes_FromStringAndSize(kept[at].data(), size) : PyUnicode_FromStringAndSize(kept[at].data(), size));
  });
}

PyObject* pair(PyObject* first, PyObject* second) {
  Owned one(first), other(second);
  return checked(PyTuple_Pack(2, one.get(), other.get()));
}

// --- plans -----------------------------------------------------------------------------------------------------------

int32_t within(int found, size_t size) {
  if (found < pb::NOWHERE || found >= static_cast<int>(size)) {
    PyErr_SetString(PyExc_ValueError, "a plan leads to what is not there");
    throw Failed();
  }
  return found;
}

int32_t holder(int found, const pb::Plan& plan) {
  return within(found < 0 ? static_cast<int>(plan.nodes.size()) : found, plan.nodes.size());
}

pb::Default default_of(PyObject* object, pb::Family family) {
  pb::Default found;
  found.there = object != Py_None;
  if (!found.there) return found;
  if (family >= pb::texts) {
    char* begin = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(object, &begin, &size) != 0) throw Failed();
    found.text.assign(begin, static_cast<size_t>(size));
  } else if (family == pb::floats) {
    found.bits = pb::bits_of(PyFloat_AsDouble(object));
  } else {
    found.bits = family == pb::signed_numbers ? static_cast<uint64_t>(PyLong_AsLongLong(object)) : PyLong_AsUnsignedLongLong(object);
  }
  if (PyErr_Occurred()) throw Failed();
  return found;
}

void add_slots(pb::Plan& plan, PyObject* listed) {
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
    int node, family;
    PyObject* otherwise;
    checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "iiO", &node, &family, &otherwise));
    plan.slots.push_back({node = holder(node, plan), static_cast<pb::Family>(family),
                          default_of(otherwise, static_cast<pb::Family>(family))});
    plan.nodes[static_cast<size_t>(node)].slots.push_back(static_cast<int32_t>(at));
  }
}

void add_maps(pb::Plan& plan, PyObject* listed) {
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
    int node, key, value, family;
    PyObject* otherwise;
    checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "iiiiO", &node, &key, &value, &family, &otherwise));
    plan.maps.push_back({node = holder(node, plan), static_cast<pb::Type>(key), static_cast<pb::Type>(value),
                         static_cast<pb::Family>(family), default_of(otherwise, static_cast<pb::Family>(family))});
    plan.nodes[static_cast<size_t>(node)].maps.push_back(static_cast<int32_t>(at));
  }
}

void add_fields(pb::Plan& plan, pb::Node& node, PyObject* listed) {
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
    unsigned int number;
    int type, wire, repeated, slot, below, map, oneof;
    checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "Iiipiiii", &number, &type, &wire, &repeated, &slot, &below, &map, &oneof));
    node.fields.push_back({number, static_cast<pb::Type>(type), static_cast<pb::Wire>(wire), repeated != 0, within(slot, plan.slots.size()),
                           within(below, plan.nodes.size()), within(map, plan.maps.size()), oneof});
  }
  node.index();
}

PyObject* make_plan(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *nodes, *slots, *maps;
    checked(PyArg_ParseTuple(arguments, "O!O!O!", &PyList_Type, &nodes, &PyList_Type, &slots, &PyList_Type, &maps));
    auto plan = std::make_unique<pb::Plan>();
    plan->nodes.resize(static_cast<size_t>(PyList_Size(nodes)));
    add_slots(*plan, slots);
    add_maps(*plan, maps);
    for (size_t at = 0; at < plan->nodes.size(); ++at) {
      int stands;
      PyObject* fields;
      pb::Node& node = plan->nodes[at];
      PyObject* entry = checked(PyList_GetItem(nodes, static_cast<Py_ssize_t>(at)));
      checked(PyArg_ParseTuple(entry, "ipO!", &node.parent, &stands, &PyList_Type, &fields));
      node.stands = stands != 0;
      add_fields(*plan, node, fields);
      if (within(node.parent, plan->nodes.size()) != pb::NOWHERE)
        plan->nodes[static_cast<size_t>(node.parent)].children.push_back(static_cast<int32_t>(at));
    }
    return capsule_of(std::move(plan), PLAN);
  });
}

// --- reading ---------------------------------------------------------------------------------------------------------

// Of numbers: (bits, which are there; None: all are). Of texts: (texts, codes).
PyObject* column_of(const pb::Column& column, const pb::Slot& slot, size_t rows) {
  if (slot.family >= pb::texts) return pair(texts_of(column.texts, slot.family == pb::byte_texts), bytes_of(column.codes, rows));
  PyObject* there = column.lacking == 0 ? Py_NewRef(Py_None) : bytes_of(column.there, rows);
  return pair(bytes_of(column.bits, rows), there);
}

// (keys, rows, numbers of keys, bits or codes, texts)
PyObject* map_of(const pb::Cells& cells, const pb::MapSlot& map) {
  const size_t count = cells.before;
  Owned names(texts_of(cells.names, false)), rows(bytes_of(cells.rows, count)), keys(bytes_of(cells.keys, count));
  Owned bits(bytes_of(cells.bits, count)), texts(texts_of(cells.texts, map.family == pb::byte_texts));
  return checked(PyTuple_Pack(5, names.get(), rows.get(), keys.get(), bits.get(), texts.get()));
}

// Reads the values at some places, each from its own byte on; both int64[n].
PyObject* read(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *capsule, *listed, *places, *offsets;
    int strict;
    checked(PyArg_ParseTuple(arguments, "OOOOp", &capsule, &listed, &places, &offsets, &strict));
    const auto& plan = *static_cast<pb::Plan*>(checked(PyCapsule_GetPointer(capsule, PLAN)));
    const Values values(listed);
    const Buffer places_buffer(places, sizeof(int64_t), 0);
    const Buffer offsets_buffer(offsets, sizeof(int64_t), places_buffer.size());
    const auto count = static_cast<size_t>(places_buffer.size());
    for (size_t at = 0; at < count; ++at) {
      const int64_t place = places_buffer.as<int64_t>()[at], offset = offsets_buffer.as<int64_t>()[at];
      if (place >= 0 && static_cast<uint64_t>(place) < values.size() && offset >= 0) continue;
      PyErr_SetString(PyExc_ValueError, "a place is not among the values");
      throw Failed();
    }
    pb::Reader reader(plan, strict != 0, count);
    {
      const Unlocked unlocked;
      for (size_t at = 0; at < count; ++at) {
        const int64_t place = places_buffer.as<int64_t>()[at];
        const Value& value = values[static_cast<size_t>(place)];
        reader.read(place, value.data, value.size, static_cast<size_t>(offsets_buffer.as<int64_t>()[at]));
      }
    }
    const pb::Columns& columns = reader.columns();
    const size_t rows = columns.messages.size();
    Owned outcomes(bytes_of(columns.outcomes, count)), messages(bytes_of(columns.messages, rows));
    Owned slots(list_of(plan.slots.size(), [&](size_t at) { return column_of(columns.slots[at], plan.slots[at], rows); }));
    Owned maps(list_of(plan.maps.size(), [&](size_t at) { return map_of(columns.maps[at], plan.maps[at]); }));
    Owned nodes(list_of(plan.nodes.size(), [&](size_t at) {
      return columns.nodes[at].empty() ? Py_NewRef(Py_None) : bytes_of(columns.nodes[at], rows);
    }));
    return checked(PyTuple_Pack(5, outcomes.get(), messages.get(), slots.get(), maps.get(), nodes.get()));
  });
}

PyMethodDef METHODS[] = {
    {"plan", make_plan, METH_VARARGS, "What becomes of the fields of a message."},
    {"read", read, METH_VARARGS, "Read messages into columns."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_protobuf", "Protobuf messages to columns.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__protobuf() { return PyModule_Create(&MODULE); }
