// Messages to columns by a reader of one message, for Python: shapes, routes and scans, whatever format the reader reads.
//
// A reader `R` has the shape `R::Shape_`, made of what Python describes; `read` and `read_envelope`, as `Reader` has them; a `verdict` on
// a message that it did not read; and says by `ENDED` whether a NUL has to follow a message: one without is copied first.
#pragma once

#include "../../../../detectors/sketches/_unlocked.hpp"
#include "../../_python.hpp"
#include "_reader.hpp"

#include <algorithm>
#include <new>

namespace {

using namespace driftd;

constexpr int TOTALS = counted * reasons + 1;  // at the end whether keys were met that nobody asked for
constexpr const char* ROUTES = "monitor.sources.formats._scan.Routes";

// A node from (required, [(key, kind, slot or node), …]).
void build(Shape& shape, Node& node, PyObject* description) {
  node.required = PyObject_IsTrue(checked(PyTuple_GetItem(description, 0))) == 1;
  shape.required += node.required;
  PyObject* children = checked(PyTuple_GetItem(description, 1));
  for (Py_ssize_t at = 0, size = PyList_Size(children); at < size; ++at) {
    PyObject* child = checked(PyList_GetItem(children, at));
    const string_view key = text_of(checked(PyTuple_GetItem(child, 0)));
    const auto kind = static_cast<Kind>(int_of(checked(PyTuple_GetItem(child, 1))));
    PyObject* target = checked(PyTuple_GetItem(child, 2));
    node.index.add(key, static_cast<int32_t>(at));
    node.entries.push_back({string(key), kind, 0, shape.ids++, nullptr});
    Entry& entry = node.entries.back();
    shape.envelope = shape.envelope || kind == Kind::timestamp;
    if (kind == Kind::node) {
      entry.node = std::make_unique<Node>();
      build(shape, *entry.node, target);
    } else {
      entry.slot = int_of(target);
      const bool wide = kind == Kind::wide_id;
      if (wide || kind == Kind::id) shape.identities = std::max<ptrdiff_t>(shape.identities, entry.slot + 1 + wide);
    }
  }
}

// Categories from ({text: code}, the code of any other text).
void add_all(Categories& categories, PyObject* description) {
  PyObject *texts, *text, *code;
  checked(PyArg_ParseTuple(description, "O!i", &PyDict_Type, &texts, &categories.unseen));
  for (Py_ssize_t place = 0; PyDict_Next(texts, &place, &text, &code);)
    categories.codes.add(text_of(text), int_of(code));
}

// Numbers from [number, …].
std::vector<double> doubles_of(PyObject* listed) {
  std::vector<double> found(PyList_Size(listed));
  for (size_t at = 0; at < found.size(); ++at) {
    found[at] = PyFloat_AsDouble(checked(PyList_GetItem(listed, at)));
    if (found[at] == -1 && PyErr_Occurred()) throw Failed();
  }
  return found;
}

// Bounds of numbers from [(above, not above, whole, truth values too, [one of these, …], none: any), …].
void add_bounds(Shape& shape, PyObject* listed) {
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
    Bounds bounds;
    int whole, flags;
    PyObject* values;
    checked(PyArg_ParseTuple(checked(PyList_GetItem(listed, at)), "ddppO", &bounds.least, &bounds.most, &whole, &flags, &values));
    bounds.whole = whole != 0;
    bounds.flags = flags != 0;
    bounds.named = values != Py_None;
    if (bounds.named) bounds.values = doubles_of(values);
    shape.bounds.push_back(std::move(bounds));
  }
}

template <typename T>
std::vector<T> numbers_of(const char* bytes, Py_ssize_t size) {
  std::vector<T> found(static_cast<size_t>(size) / sizeof(T));
  if (!found.empty()) std::memcpy(found.data(), bytes, found.size() * sizeof(T));
  return found;
}

// What keeps the rules of a column from (texts, numbers, truth, nothing, times, bounds, [text, …] or None, kinds of letters, states, ends).
std::unique_ptr<Keeping> keeping_of(PyObject* description) {
  auto keeping = std::make_unique<Keeping>();
  int texts, numbers, truth, nothing, times, whole, flags;
  const char *kinds, *after, *ends;
  Py_ssize_t kinds_size, after_size, ends_size;
  PyObject *values, *known;
  checked(PyArg_ParseTuple(description, "ppppp(ddppO)Oy#y#y#", &texts, &numbers, &truth, &nothing, &times,
                           &keeping->bounds.least, &keeping->bounds.most, &whole, &flags, &values, &known, &kinds, &kinds_size,
                           &after, &after_size, &ends, &ends_size));
  keeping->texts = texts != 0;
  keeping->numbers = numbers != 0;
  keeping->truth = truth != 0;
  keeping->nothing = nothing != 0;
  keeping->times = times != 0;
  keeping->bounds.whole = whole != 0;
  keeping->named = known != Py_None;
  keeping->pattern = {numbers_of<uint8_t>(kinds, kinds_size), numbers_of<uint16_t>(after, after_size),
                      numbers_of<uint8_t>(ends, ends_size)};
  for (Py_ssize_t at = 0, size = keeping->named ? PyList_Size(known) : 0; at < size; ++at)
    keeping->known.add(text_of(checked(PyList_GetItem(known, at))), static_cast<int32_t>(at));
  if (!keeping->pattern.is_whole()) {
    PyErr_SetString(PyExc_ValueError, "a pattern's table is not whole");
    throw Failed();
  }
  return keeping;
}

void add_keeping(Shape& shape, PyObject* listed) {
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
    PyObject* description = checked(PyList_GetItem(listed, at));
    shape.keeping.push_back(description == Py_None ? nullptr : keeping_of(description));
  }
}

// Appends numbers as bytes to a list.
void append_to(PyObject* list, const std::vector<int64_t>& numbers) {
  PyObject* bytes = checked(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(numbers.data()),
                                                      static_cast<Py_ssize_t>(numbers.size() * sizeof(int64_t))));
  const int failed = PyList_Append(list, bytes);
  Py_DECREF(bytes);
  if (failed != 0) throw Failed();
}

void append_suspects(PyObject* list, const Suspects& suspects) {
  append_to(list, suspects.lacking);
  append_to(list, suspects.others);
}

// A shape from (root, numbers, categories, modelless, features, coded, latency, error, bounds, keeping).
void describe(Shape& shape, PyObject* arguments) {
  PyObject *root, *categories, *bounds, *keeping;
  int numbers, modelless, features, coded, latency, error;
  checked(PyArg_ParseTuple(arguments, "O!iO!piiiiO!O!", &PyTuple_Type, &root, &numbers, &PyList_Type, &categories, &modelless,
                           &features, &coded, &latency, &error, &PyList_Type, &bounds, &PyList_Type, &keeping));
  build(shape, shape.root, root);
  shape.required -= shape.root.required;
  shape.expect();
  shape.numbers = numbers;
  shape.modelless = modelless != 0;
  shape.features = features;
  shape.coded = coded;
  shape.latency = latency;
  shape.error = error;
  add_bounds(shape, bounds);
  add_keeping(shape, keeping);
  shape.categories.resize(PyList_Size(categories));
  for (size_t at = 0; at < shape.categories.size(); ++at)
    add_all(shape.categories[at], checked(PyList_GetItem(categories, at)));
}

PyObject* make_routes(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* listed;
    checked(PyArg_ParseTuple(arguments, "O!", &PyList_Type, &listed));
    auto routes = std::make_unique<Routes>();
    for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) {
      PyObject *model, *versions;
      int otherwise;
      PyObject* entry = checked(PyList_GetItem(listed, at));
      checked(PyArg_ParseTuple(entry, "OiO!", &model, &otherwise, &PyDict_Type, &versions));
      routes->names.add(model == Py_None ? UNNAMED : text_of(model), static_cast<int32_t>(at));
      routes->models.emplace_back();
      routes->models.back().otherwise = otherwise;
      PyObject *version, *series;
      for (Py_ssize_t place = 0; PyDict_Next(versions, &place, &version, &series);)
        routes->models.back().versions.add(text_of(version), int_of(series));
    }
    return capsule_of(std::move(routes), ROUTES);
  });
}

// What a scan reads from and writes to.
template <typename R>
struct Scan {
  const Values& values;
  int64_t* times;
  int32_t* series;
  std::string copy = {};  // of a message that no NUL follows

  // A message to be read, none where it is odd: no bytes, empty, too long. There until the next is asked for.
  string_view message(Py_ssize_t at) {
    const Value& value = values[at];
    if (value.data == nullptr || value.size > MAX_BYTES) return {};
    if (value.ended || !R::ENDED) return {value.data, value.size};
    copy.assign(value.data, value.size);
    return copy;
  }

  // Reads a message into a row of columns; false: odd.
  bool read(R& reader, Py_ssize_t at, Py_ssize_t row) {
    const string_view found = message(at);
    series[at] = ODD;
    if (found.empty()) return false;
    if (reader.read(found.data(), found.data() + found.size(), row)) return true;
    series[at] = reader.verdict();
    return false;
  }

  // Tells a message's series and time. One that is nobody's is read to its end: it may be malformed.
  void route(R& reader, Router& router, const Routes& routes, Py_ssize_t at) {
    const string_view found = message(at);
    series[at] = ODD;
    if (found.empty()) return;
    const bool read = reader.read_envelope(found.data(), found.data() + found.size(), routes);
    const int32_t whose = read ? router.find(reader.model(), reader.version()) : reader.verdict();
    if (!read || (whose == UNMONITORED && !reader.read(found.data(), found.data() + found.size(), 0))) {
      series[at] = reader.verdict();
      return;
    }
    times[at] = reader.time();
    series[at] = whose;
  }
};

template <typename R>
typename R::Shape_* shape_of(PyObject* object) {
  return static_cast<typename R::Shape_*>(checked(PyCapsule_GetPointer(object, R::SHAPE)));
}

const Routes& routes_of(PyObject* object) {
  return *static_cast<Routes*>(checked(PyCapsule_GetPointer(object, ROUTES)));
}

// All messages by the shape of the only series.
template <typename R>
PyObject* scan(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *shape_object, *routes_object, *values, *times, *series, *numbers, *codes, *ids, *totals, *suspects;
    long long unit, latest;
    checked(PyArg_ParseTuple(arguments, "OOOLLOOOOOOO!", &shape_object, &routes_object, &values, &unit,
                             &latest, &times, &series, &numbers, &codes, &ids, &totals, &PyList_Type, &suspects));
    const auto& shape = *shape_of<R>(shape_object);
    const Values messages(values);
    const auto count = static_cast<Py_ssize_t>(messages.size());
    const Buffer times_buffer(times, sizeof(int64_t), count), series_buffer(series, sizeof(int32_t), count);
    const Buffer numbers_buffer(numbers, sizeof(double), count * shape.numbers);
    const Buffer codes_buffer(codes, sizeof(int32_t), count * shape.categories.size());
    const Buffer ids_buffer(ids, sizeof(uint64_t), count * shape.identities), totals_buffer(totals, sizeof(int64_t), TOTALS);
    Scan<R> scanning{messages, times_buffer.as<int64_t>(), series_buffer.as<int32_t>()};
    const Columns columns{numbers_buffer.as<double>(), codes_buffer.as<int32_t>(), ids_buffer.as<uint64_t>(), count};
    R reader(shape, columns, unit, latest);
    Router router(routes_of(routes_object));
    Py_ssize_t row = 0;
    {
      const Unlocked unlocked;
      for (Py_ssize_t at = 0; at < count; ++at) {
        if (!scanning.read(reader, at, row)) continue;
        scanning.times[at] = reader.time();
        scanning.series[at] = router.find(reader.model(), reader.version());
        if (scanning.series[at] < 0) {
          reader.forget();
          continue;
        }
        reader.count(totals_buffer.as<int64_t>());
        ++row;
      }
    }
    append_suspects(suspects, reader.suspects());
    totals_buffer.as<int64_t>()[TOTALS - 1] = reader.strange();
    return PyLong_FromSsize_t(row);
  });
}

// Which series each message belongs to, by a shape that has the envelope alone.
template <typename R>
PyObject* route(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *shape_object, *routes_object, *values, *times, *series;
    long long unit, latest;
    checked(PyArg_ParseTuple(arguments, "OOOLLOO", &shape_object, &routes_object, &values, &unit, &latest,
                             &times, &series));
    const Values messages(values);
    const auto count = static_cast<Py_ssize_t>(messages.size());
    const Buffer times_buffer(times, sizeof(int64_t), count), series_buffer(series, sizeof(int32_t), count);
    Scan<R> scanning{messages, times_buffer.as<int64_t>(), series_buffer.as<int32_t>()};
    const Columns none{nullptr, nullptr, nullptr, 0};
    const Routes& routes = routes_of(routes_object);
    R reader(*shape_of<R>(shape_object), none, unit, latest);
    Router router(routes);
    {
      const Unlocked unlocked;
      for (Py_ssize_t at = 0; at < count; ++at) scanning.route(reader, router, routes, at);
    }
    Py_RETURN_NONE;
  });
}

// One series on its way to columns.
template <typename R>
struct Group {
  Group(const typename R::Shape_& shape, const Columns& columns, int64_t unit, int64_t latest)
      : columns(columns), reader(shape, this->columns, unit, latest) {}
  Group(const Group&) = delete;

  const Columns columns;
  R reader;
  Py_ssize_t row = 0;
};

// The series that have messages, `sizes[at]` of them each, with columns that lie one series after the other.
template <typename R>
std::vector<std::unique_ptr<Group<R>>> groups_of(PyObject* shapes, const Buffer& sizes, const Buffer& numbers,
                                              const Buffer& codes, const Buffer& ids, int64_t unit, int64_t latest) {
  std::vector<std::unique_ptr<Group<R>>> groups(PyList_Size(shapes));
  Py_ssize_t numbers_at = 0, codes_at = 0, ids_at = 0;
  for (size_t at = 0; at < groups.size(); ++at) {
    const Py_ssize_t room = sizes.as<int64_t>()[at];
    if (room <= 0) continue;
    const auto& shape = *shape_of<R>(checked(PyList_GetItem(shapes, at)));
    const Columns columns{numbers.as<double>() + numbers_at, codes.as<int32_t>() + codes_at, ids.as<uint64_t>() + ids_at,
                          room};
    ids_at += room * shape.identities;
    numbers_at += room * static_cast<Py_ssize_t>(shape.numbers);
    codes_at += room * static_cast<Py_ssize_t>(shape.categories.size());
    if (numbers_at > numbers.size() || codes_at > codes.size() || ids_at > ids.size()) {
      PyErr_SetString(PyExc_ValueError, "the columns are too short");
      throw Failed();
    }
    groups[at] = std::make_unique<Group<R>>(shape, columns, unit, latest);
  }
  return groups;
}

// Reads each message into the columns of its series; false where there is no room for one.
template <typename R>
bool scan_groups(Scan<R>& scanning, const std::vector<std::unique_ptr<Group<R>>>& groups, int64_t* totals) {
  const Unlocked unlocked;
  for (size_t at = 0; at < scanning.values.size(); ++at) {
    const int32_t whose = scanning.series[at];
    if (whose < 0) continue;
    if (static_cast<size_t>(whose) >= groups.size() || !groups[whose]) return false;
    Group<R>& group = *groups[whose];
    if (group.row >= group.columns.rows) return false;
    if (!scanning.read(group.reader, static_cast<Py_ssize_t>(at), group.row)) continue;
    scanning.series[at] = whose;
    group.reader.count(totals);
    ++group.row;
  }
  return true;
}

// Messages whose series is known, each by the shape of its series. In the order they came in: that is how they lie in
// memory. `sizes` becomes the rows of each series.
template <typename R>
PyObject* scan_each(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *shapes, *values, *series, *numbers, *codes, *ids, *sizes, *totals, *suspects;
    long long unit, latest;
    checked(PyArg_ParseTuple(arguments, "O!OLLOOOOOOO!", &PyList_Type, &shapes, &values, &unit, &latest,
                             &series, &numbers, &codes, &ids, &sizes, &totals, &PyList_Type, &suspects));
    const Values messages(values);
    const auto count = static_cast<Py_ssize_t>(messages.size()), most = PyList_Size(shapes);
    const Buffer series_buffer(series, sizeof(int32_t), count);
    const Buffer numbers_buffer(numbers, sizeof(double), 0), codes_buffer(codes, sizeof(int32_t), 0);
    const Buffer ids_buffer(ids, sizeof(uint64_t), 0);
    const Buffer sizes_buffer(sizes, sizeof(int64_t), most), totals_buffer(totals, sizeof(int64_t), TOTALS);
    Scan<R> scanning{messages, nullptr, series_buffer.as<int32_t>()};
    const auto groups = groups_of<R>(shapes, sizes_buffer, numbers_buffer, codes_buffer, ids_buffer, unit, latest);
    if (!scan_groups(scanning, groups, totals_buffer.as<int64_t>())) {
      PyErr_SetString(PyExc_ValueError, "a series has more messages than were told");
      throw Failed();
    }
    const Suspects none;
    for (Py_ssize_t at = 0; at < most; ++at) {
      sizes_buffer.as<int64_t>()[at] = groups[at] ? groups[at]->row : 0;
      append_suspects(suspects, groups[at] ? groups[at]->reader.suspects() : none);
      totals_buffer.as<int64_t>()[TOTALS - 1] |= groups[at] && groups[at]->reader.strange();
    }
    Py_RETURN_NONE;
  });
}

}  // namespace
