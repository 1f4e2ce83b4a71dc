// One Avro message as Python has it, as monitor/sources/formats/avro/datum.py reads it: by the types of a schema, to objects.
#pragma once

#include "../../_python.hpp"
#include "_reader.hpp"

namespace {

constexpr const char* DOCUMENTS = "monitor.sources.formats.avro._avro.Types";

// A reference that is given up.
class Owned {
 public:
  explicit Owned(PyObject* object = nullptr) : object_(object) {}
  Owned(Owned&& other) noexcept : object_(other.release()) {}
  Owned(const Owned&) = delete;
  ~Owned() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  PyObject* release() {
    PyObject* const object = object_;
    object_ = nullptr;
    return object;
  }

 private:
  PyObject* object_;
};

// A type with the objects that Python knows it by: names of fields or symbols, what makes its meaning, a constant's value.
struct KnownType {
  driftd::avro::Described told;
  std::vector<Owned> names;
  Owned meaning, value;  // none: what is read is meant
};

using KnownTypes = std::vector<KnownType>;

class DocumentReader : private driftd::avro::Input {
 public:
  explicit DocumentReader(const KnownTypes& types) : types_(types) {}

  // What the bytes hold; none where they are refused, with a `verdict`. Throws Failed where Python fails.
  Owned read(const char* begin, const char* end) {
    input(begin, end, driftd::ODD);
    Owned found = value(types_.front());
    if (found.get() != nullptr && at_ != end_) return refused(driftd::avro::TRAILING);
    return found;
  }

  using Input::verdict;

 private:
  using Type = driftd::avro::Type;

  static Owned made(PyObject* object) { return Owned(driftd::checked(object)); }

  static Owned same(PyObject* object) {
    Py_INCREF(object);
    return Owned(object);
  }

  Owned refused(int32_t why) {
    fail(why);
    return Owned();
  }

  Owned value(const KnownType& type) {
    Owned found = plain(type);
    if (found.get() == nullptr || type.meaning.get() == nullptr) return found;
    return made(PyObject_CallFunctionObjArgs(type.meaning.get(), found.get(), nullptr));
  }

  Owned plain(const KnownType& type) {
    int64_t number = 0;
    string_view found;
    switch (type.told.type) {
      case Type::null: return same(Py_None);
      case Type::constant: return same(type.value.get());
      case Type::number: {
        double value;
        if (!take(sizeof value, found)) return Owned();
        std::memcpy(&value, found.data(), sizeof value);
        return made(PyFloat_FromDouble(value));
      }
      case Type::single: {
        float value;
        if (!take(sizeof value, found)) return Owned();
        std::memcpy(&value, found.data(), sizeof value);
        return made(PyFloat_FromDouble(static_cast<double>(value)));
      }
      case Type::whole: return whole(number) ? made(PyLong_FromLongLong(number)) : Owned();
      case Type::text: return text(found) ? letters(found) : Owned();
      case Type::flag:
        if (!take(1, found)) return Owned();
        if (static_cast<unsigned char>(found[0]) > 1) return refused(driftd::avro::MALFORMED);
        return same(found[0] == 1 ? Py_True : Py_False);
      case Type::bytes: return bytes(found) ? raw(found) : Owned();
      case Type::fixed: return take(type.told.size, found) ? raw(found) : Owned();
      case Type::symbol: return chosen(number, type.names.size()) ? same(type.names[static_cast<size_t>(number)].get()) : Owned();
      case Type::choice: return chosen(number, type.told.below.size()) ? below(type, static_cast<size_t>(number)) : Owned();
      case Type::record: return record(type);
      case Type::array: return array(type);
      case Type::map: return map(type);
    }
    return Owned();
  }

  Owned below(const KnownType& type, size_t at) { return value(types_[type.told.below[at]]); }

  bool chosen(int64_t& number, size_t many) {
    if (!whole(number)) return false;
    return (number >= 0 && static_cast<size_t>(number) < many) || fail(driftd::avro::MALFORMED);
  }

  static Owned letters(string_view text) {
    return made(PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
  }

  static Owned raw(string_view found) {
    return made(PyBytes_FromStringAndSize(found.data(), static_cast<Py_ssize_t>(found.size())));
  }

  static void put(const Owned& object, PyObject* name, const Owned& value) {
    if (PyDict_SetItem(object.get(), name, value.get()) != 0) throw driftd::Failed();
  }

  Owned record(const KnownType& type) {
    const char* const begin = at_;
    if (!deeper()) return Owned();
    Owned found = made(PyDict_New());
    for (size_t at = 0; at < type.names.size(); ++at) {
      const Owned held = below(type, at);
      if (held.get() == nullptr) return Owned();
      put(found, type.names[at].get(), held);
    }
    if (!took(begin)) return Owned();
    shallower();
    return found;
  }

  Owned array(const KnownType& type) {
    if (!deeper()) return Owned();
    Owned found = made(PyList_New(0));
    for (int64_t count = 0;;) {
      if (!block(count)) return Owned();
      if (count == 0) break;
      for (; count > 0; --count) {
        const char* const begin = at_;
        const Owned held = below(type, 0);
        if (held.get() == nullptr || !took(begin)) return Owned();
        if (PyList_Append(found.get(), held.get()) != 0) throw driftd::Failed();
      }
    }
    shallower();
    return found;
  }

  Owned map(const KnownType& type) {
    if (!deeper()) return Owned();
    Owned found = made(PyDict_New());
    for (int64_t count = 0;;) {
      if (!block(count)) return Owned();
      if (count == 0) break;
      for (; count > 0; --count) {
        string_view key;
        if (!text(key)) return Owned();
        const Owned name = letters(key);
        const Owned held = below(type, 0);
        if (held.get() == nullptr) return Owned();
        put(found, name.get(), held);
      }
    }
    shallower();
    return found;
  }

  const KnownTypes& types_;
};

// Whether a record has a name for each of its fields, and a constant a value.
bool is_known(const KnownType& type) {
  if (type.told.type == driftd::avro::Type::constant) return type.value.get() != nullptr;
  return type.told.type != driftd::avro::Type::record || type.names.size() == type.told.below.size();
}

}  // namespace
