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
    int node, family, hashed;
    PyObject* otherwise;
    checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "iiOp", &node, &family, &otherwise, &hashed));
    plan.slots.push_back({node = holder(node, plan), static_cast<pb::Family>(family), hashed != 0,
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
                           within(below, plan.nodes.size()), within(map, plan.maps.size()), oneof, false});
  }
  node.index(plan.slots);
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
      int stands, is_entry, family;
      PyObject *otherwise, *fields;
      pb::Node& node = plan->nodes[at];
      PyObject* entry = checked(PyList_GetItem(nodes, static_cast<Py_ssize_t>(at)));
      checked(PyArg_ParseTuple(entry, "ippiOO!", &node.parent, &stands, &is_entry, &family, &otherwise, &PyList_Type, &fields));
      node.otherwise = default_of(otherwise, static_cast<pb::Family>(family));
      node.stands = stands != 0;
      node.is_entry = is_entry != 0;
      add_fields(*plan, node, fields);
      if (within(node.parent, plan->nodes.size()) != pb::NOWHERE)
        plan->nodes[static_cast<size_t>(node.parent)].children.push_back(static_cast<int32_t>(at));
    }
    return capsule_of(std::move(plan), PLAN);
  });
}

// --- reading ---------------------------------------------------------------------------------------------------------

// Of numbers: which are there; None: all are. Of texts: (texts, codes).
PyObject* column_of(const pb::Column& column, const pb::Slot& slot, size_t rows) {
  if (slot.hashed || (slot.family < pb::texts && column.lacking == 0)) return Py_NewRef(Py_None);
  if (slot.family < pb::texts) return bytes_of(column.there, rows);
  return pair(texts_of(column.texts, slot.family == pb::byte_texts), bytes_of(column.codes, rows));
}

// (keys, rows, numbers of keys, bits or codes, texts)
PyObject* map_of(const pb::Cells& cells, const pb::MapSlot& map) {
  const size_t count = cells.before;
  Owned names(texts_of(cells.names, false)), rows(bytes_of(cells.rows, count)), keys(bytes_of(cells.keys, count));
  Owned bits(bytes_of(cells.bits, count)), texts(texts_of(cells.texts, map.family == pb::byte_texts));
  return checked(PyTuple_Pack(5, names.get(), rows.get(), keys.get(), bits.get(), texts.get()));
}

// Reads the values at some places, each from its own byte on; both int64[n]. Columns of eight bytes a row lie one after the other, those of
// hashes two each.
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
    const Owned room(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(plan.width() * pb::Plan::stride(count) * sizeof(uint64_t))));
    pb::Reader reader(plan, strict != 0, count, reinterpret_cast<uint64_t*>(checked(PyBytes_AsString(room.get()))));
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
    return checked(PyTuple_Pack(6, outcomes.get(), messages.get(), room.get(), slots.get(), maps.get(), nodes.get()));
  });
}

// --- one message as it came ------------------------------------------------------------------------------------------

// Reads a message to a dictionary of what was set, by numbers of fields, as MessageReader of messages.py does.
class Holder {
 public:
  Holder(const pb::Plan& plan, bool strict) : plan_(plan), strict_(strict) {}

  pb::Outcome read(const pb::Node& node, pb::Cursor in, PyObject* held, bool& known) { return merge(node, in, held, 1, known); }

 private:
  pb::Outcome merge(const pb::Node& node, pb::Cursor in, PyObject* held, int depth, bool& known) {
    if (depth > pb::MAX_DEPTH) return pb::too_deep;
    while (in.at < in.end) {
      uint32_t number;
      uint8_t wire;
      if (!in.tag(number, wire)) return pb::malformed;
      const pb::Field* field = node.find(number);
      pb::Outcome outcome;
      if (field != nullptr && (wire == field->wire || (field->repeated && wire == pb::bytes_wire && pb::packs(field->wire)))) {
        known = true;
        outcome = take(node, *field, wire, in, held, depth);
      } else if (field != nullptr && strict_) {
        return pb::other_type;
      } else {
        outcome = pb::skip(in, number, wire, depth);
      }
      if (outcome != pb::good) return outcome;
    }
    return pb::good;
  }

  pb::Outcome take(const pb::Node& node, const pb::Field& field, uint8_t wire, pb::Cursor& in, PyObject* held, int depth) {
    if (field.type == pb::group_type) return pb::skip(in, field.number, wire, depth);
    if (field.oneof != pb::NOWHERE) choose(node, field, held);
    const Owned key(PyLong_FromUnsignedLong(field.number));
    pb::Cursor part{nullptr, nullptr};
    if (field.map != pb::NOWHERE || (field.node != pb::NOWHERE && field.repeated && below(field).is_entry)) {
      if (!in.part(part)) return pb::malformed;
      const Owned entries(kept(held, key.get(), PyDict_New));
      return field.map != pb::NOWHERE ? plain_entry(plan_.maps[static_cast<size_t>(field.map)], part, entries.get(), depth + 1)
                                      : entry(below(field), part, entries.get(), depth + 1);
    }
    if (field.repeated) {
      const Owned list(kept(held, key.get(), [] { return PyList_New(0); }));
      return append(field, wire, in, list.get(), depth);
    }
    if (field.node != pb::NOWHERE) {
      if (!in.part(part)) return pb::malformed;
      const Owned message(kept(held, key.get(), PyDict_New));
      bool ignored = false;
      return merge(below(field), part, message.get(), depth + 1, ignored);
    }
    PyObject* value = nullptr;
    const pb::Outcome outcome = scalar(field.type, in, value);
    if (outcome != pb::good) return outcome;
    const Owned found(value);
    if (PyDict_SetItem(held, key.get(), found.get()) != 0) throw Failed();
    return pb::good;
  }

  const pb::Node& below(const pb::Field& field) const { return plan_.nodes[static_cast<size_t>(field.node)]; }

  static void choose(const pb::Node& node, const pb::Field& chosen, PyObject* held) {
    for (const pb::Field& field : node.fields) {
      if (field.oneof != chosen.oneof || &field == &chosen) continue;
      const Owned key(PyLong_FromUnsignedLong(field.number));
      if (PyDict_DelItem(held, key.get()) != 0) PyErr_Clear();
    }
  }

  // What a dictionary holds, a new reference; made where it holds nothing.
  template <typename Make>
  static PyObject* kept(PyObject* held, PyObject* key, Make make) {
    PyObject* found = PyDict_GetItemWithError(held, key);
    if (found != nullptr) return Py_NewRef(found);
    if (PyErr_Occurred()) throw Failed();
    Owned made(make());
    if (PyDict_SetItem(held, key, made.get()) != 0) throw Failed();
    return made.release();
  }

  pb::Outcome append(const pb::Field& field, uint8_t wire, pb::Cursor& in, PyObject* list, int depth) {
    pb::Cursor part{nullptr, nullptr};
    if (field.node != pb::NOWHERE) {
      if (!in.part(part)) return pb::malformed;
      const Owned message(PyDict_New());
      if (PyList_Append(list, message.get()) != 0) throw Failed();
      bool ignored = false;
      return merge(below(field), part, message.get(), depth + 1, ignored);
    }
    if (wire != pb::bytes_wire || !pb::packs(field.wire)) return append_scalar(field.type, in, list);
    if (!in.part(part)) return pb::malformed;
    while (part.at < part.end)
      if (const pb::Outcome outcome = append_scalar(field.type, part, list); outcome != pb::good) return outcome;
    return pb::good;
  }

  static pb::Outcome append_scalar(pb::Type type, pb::Cursor& in, PyObject* list) {
    PyObject* value = nullptr;
    const pb::Outcome outcome = scalar(type, in, value);
    if (outcome != pb::good) return outcome;
    const Owned found(value);
    if (PyList_Append(list, found.get()) != 0) throw Failed();
    return pb::good;
  }

  static PyObject* object_of(pb::Type type, uint64_t bits, std::string_view text) {
    switch (type) {
      case pb::string_type: return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
      case pb::bytes_type: return PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
      case pb::double_type:
      case pb::float_type: {
        double value;
        std::memcpy(&value, &bits, sizeof value);
        return PyFloat_FromDouble(value);
      }
      case pb::bool_type: return PyBool_FromLong(bits != 0);
      case pb::uint64_type:
      case pb::uint32_type:
      case pb::fixed64_type:
      case pb::fixed32_type: return PyLong_FromUnsignedLongLong(bits);
      default: return PyLong_FromLongLong(static_cast<int64_t>(bits));
    }
  }

  static pb::Outcome scalar(pb::Type type, pb::Cursor& in, PyObject*& found) {
    uint64_t bits = 0;
    std::string_view text;
    const pb::Outcome outcome = pb::value_of(type, in, bits, text);
    if (outcome == pb::good) found = checked(object_of(type, bits, text));
    return outcome;
  }

  // An entry of plain values.
  pb::Outcome plain_entry(const pb::MapSlot& map, pb::Cursor in, PyObject* entries, int depth) {
    if (depth > pb::MAX_DEPTH) return pb::too_deep;
    uint64_t key_bits = 0, bits = map.otherwise.bits;
    std::string_view key_text, text = map.otherwise.text;
    while (in.at < in.end) {
      uint32_t number;
      uint8_t wire;
      if (!in.tag(number, wire)) return pb::malformed;
      const pb::Type type = number == 1 ? map.key : map.value;
      pb::Outcome outcome;
      if (number <= 2 && wire == pb::wire_of(type)) {
        outcome = number == 1 ? pb::value_of(type, in, key_bits, key_text) : pb::value_of(type, in, bits, text);
      } else if (number <= 2 && strict_) {
        return pb::other_type;
      } else {
        outcome = pb::skip(in, number, wire, depth);
      }
      if (outcome != pb::good) return outcome;
    }
    const Owned key(object_of(map.key, key_bits, key_text)), value(object_of(map.value, bits, text));
    if (PyDict_SetItem(entries, key.get(), value.get()) != 0) throw Failed();
    return pb::good;
  }

  // An entry of any values.
  pb::Outcome entry(const pb::Node& node, pb::Cursor in, PyObject* entries, int depth) {
    const Owned held(PyDict_New());
    bool ignored = false;
    const pb::Outcome outcome = merge(node, in, held.get(), depth, ignored);
    if (outcome != pb::good) return outcome;
    const pb::Field* key_field = node.find(1);
    const Owned first(PyLong_FromLong(1)), second(PyLong_FromLong(2));
    const Owned key(kept(held.get(), first.get(), [&] { return object_of(key_field ? key_field->type : pb::int64_type, 0, {}); }));
    const pb::Field* of_value = node.find(2);
    const bool plain = of_value != nullptr && of_value->node == pb::NOWHERE;
    const Owned value(kept(held.get(), second.get(), [&] {
      return plain ? object_of(of_value->type, node.otherwise.bits, node.otherwise.text) : PyDict_New();
    }));
    if (PyDict_SetItem(entries, key.get(), value.get()) != 0) throw Failed();
    return pb::good;
  }

  const pb::Plan& plan_;
  const bool strict_;
};

// What was set of a message from a byte on, by numbers of fields; or the number of the reason why it is refused.
PyObject* held(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* capsule;
    const char* data;
    Py_ssize_t size, from;
    int strict;
    checked(PyArg_ParseTuple(arguments, "Oy#np", &capsule, &data, &size, &from, &strict));
    const auto& plan = *static_cast<pb::Plan*>(checked(PyCapsule_GetPointer(capsule, PLAN)));
    const auto* begin = reinterpret_cast<const uint8_t*>(data);
    const Owned found(PyDict_New());
    pb::Outcome outcome = static_cast<size_t>(size) > pb::MAX_BYTES ? pb::too_large : pb::good;
    bool known = false;
    const pb::Cursor in{begin + std::min(std::max<Py_ssize_t>(from, 0), size), begin + size};
    if (outcome == pb::good && strict != 0 && in.at == in.end) outcome = pb::empty;
    if (outcome == pb::good) outcome = Holder(plan, strict != 0).read(plan.nodes.at(0), in, found.get(), known);
    if (outcome == pb::good && strict != 0 && !known) outcome = pb::other_type;
    return outcome == pb::good ? Py_NewRef(found.get()) : PyLong_FromLong(outcome);
  });
}

PyMethodDef METHODS[] = {
    {"held", held, METH_VARARGS, "Read one message as it came."},
    {"plan", make_plan, METH_VARARGS, "What becomes of the fields of a message."},
    {"read", read, METH_VARARGS, "Read messages into columns."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_protobuf", "Protobuf messages to columns.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__protobuf() { return PyModule_Create(&MODULE); }
