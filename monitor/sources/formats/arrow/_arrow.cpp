// Messages of Arrow batches to columns, for those that are wholly understood: what has to do with Python. See _batches.hpp.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../../../detectors/sketches/_unlocked.hpp"
#include "../../_python.hpp"
#include "_placing.hpp"

namespace {

using namespace driftd;
using namespace driftd::arrow;

constexpr const char* LAYOUT = "monitor.sources.formats.arrow._arrow.Layout";
constexpr const char* SHAPE = "monitor.sources.formats.json._scan.Shape";  // for its categories
constexpr const char* ROUTES = "monitor.sources.formats._scan.Routes";

// A layout with what it looks into.
struct KeptLayout {
  KeptLayout() = default;
  ~KeptLayout() { Py_XDECREF(kept); }
  KeptLayout(const KeptLayout&) = delete;

  Layout layout;
  PyObject* kept = nullptr;
};

std::vector<int> columns_of(PyObject* listed) {
  if (!PyList_Check(listed)) {
    PyErr_SetString(PyExc_TypeError, "a list of columns is wanted");
    throw Failed();
  }
  std::vector<int> found;
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at) found.push_back(int_of(checked(PyList_GetItem(listed, at))));
  return found;
}

// The columns of a series from (shape, numbers, categories, [(column, more bits), …]).
Wanted wanted_of(PyObject* object) {
  Wanted wanted;
  PyObject *shape, *numbers, *categories, *ids;
  checked(PyArg_ParseTuple(object, "OOOO!", &shape, &numbers, &categories, &PyList_Type, &ids));
  wanted.shape = static_cast<const Shape*>(checked(PyCapsule_GetPointer(shape, SHAPE)));
  wanted.numbers = columns_of(numbers);
  wanted.categories = columns_of(categories);
  for (Py_ssize_t at = 0, size = PyList_Size(ids); at < size; ++at) {
    int column, second;
    checked(PyArg_ParseTuple(checked(PyList_GetItem(ids, at)), "ip", &column, &second));
    wanted.ids.push_back({column, second != 0});
  }
  return wanted;
}

// layout(schema, metadata, places, columns, envelope, required, routes, series): places (body, rows, nodes, buffers) in the metadata;
// columns [(type, width, parent), …]; envelope (time, unit, model, version, whether rows need not name their model).
PyObject* make_layout(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    const char *schema, *metadata;
    Py_ssize_t schema_size, metadata_size, body_at, rows_at, nodes_at, buffers_at;
    PyObject *columns, *required, *routes, *series;
    int time, model, version, modelless;
    long long unit;
    checked(PyArg_ParseTuple(arguments, "y#y#(nnnn)O!(iLiip)OOO!", &schema, &schema_size, &metadata, &metadata_size, &body_at, &rows_at,
                             &nodes_at, &buffers_at, &PyList_Type, &columns, &time, &unit, &model, &version, &modelless, &required,
                             &routes, &PyList_Type, &series));
    auto made = std::make_unique<KeptLayout>();
    made->kept = checked(PyTuple_Pack(2, routes, series));
    Layout& layout = made->layout;
    layout.schema.assign(schema, static_cast<size_t>(schema_size));
    layout.metadata.assign(metadata, static_cast<size_t>(metadata_size));
    layout.body_at = static_cast<size_t>(body_at);
    layout.rows_at = static_cast<size_t>(rows_at);
    layout.nodes_at = static_cast<size_t>(nodes_at);
    layout.buffers_at = static_cast<size_t>(buffers_at);
    layout.time = time;
    layout.unit = unit;
    layout.model = model;
    layout.version = version;
    layout.modelless = modelless != 0;
    layout.required = columns_of(required);
    layout.routes = static_cast<const Routes*>(checked(PyCapsule_GetPointer(routes, ROUTES)));
    for (Py_ssize_t at = 0, size = PyList_Size(columns); at < size; ++at) {
      int type, parent;
      long long width;
      checked(PyArg_ParseTuple(checked(PyList_GetItem(columns, at)), "iLi", &type, &width, &parent));
      layout.columns.push_back({static_cast<Type>(type), width, parent});
    }
    for (Py_ssize_t at = 0, size = PyList_Size(series); at < size; ++at)
      layout.series.push_back(wanted_of(checked(PyList_GetItem(series, at))));
    if (!layout.finish()) {
      PyErr_SetString(PyExc_ValueError, "a layout leads outside of itself");
      throw Failed();
    }
    return capsule_of(std::move(made), LAYOUT);
  });
}

std::vector<const Layout*> layouts_of(PyObject* listed) {
  std::vector<const Layout*> found;
  for (Py_ssize_t at = 0, size = PyList_Size(listed); at < size; ++at)
    found.push_back(&static_cast<KeptLayout*>(checked(PyCapsule_GetPointer(checked(PyList_GetItem(listed, at)), LAYOUT)))->layout);
  return found;
}

const Layout* layout_of(const std::vector<const Layout*>& layouts, int32_t which) {
  return which >= 0 && static_cast<size_t>(which) < layouts.size() ? layouts[which] : nullptr;
}

// Rows of a message, 0 where it is none of this layout or takes more than `most` bytes.
int64_t rows_of(const Layout& layout, const Value& message, int64_t most) {
  int64_t rows = 0, takes = 0;
  const bool read = each_batch(layout, message, [&](const Batch& batch) {
    if (!batch.fits()) return false;
    rows += batch.rows();
    takes += batch.takes();
    return takes <= most;
  });
  return read ? rows : 0;
}

// measure(layouts, values, largest, allowance, expansion, which, sizes): the layout of each message, LEFT where there is none, and its rows; how many there are
// in all is returned. A message may take `allowance` bytes, and its own size `expansion` times.
PyObject* measure(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *listed, *values, *which, *sizes;
    long long largest, allowance, expansion;
    checked(PyArg_ParseTuple(arguments, "O!OLLLOO", &PyList_Type, &listed, &values, &largest, &allowance, &expansion, &which, &sizes));
    const auto layouts = layouts_of(listed);
    const Values messages(values);
    const auto count = static_cast<Py_ssize_t>(messages.size());
    const Buffer which_buffer(which, sizeof(int32_t), count), sizes_buffer(sizes, sizeof(int64_t), count);
    int64_t total = 0;
    {
      const Unlocked unlocked;
      size_t last = 0;  // messages are of one layout, as a rule
      for (Py_ssize_t at = 0; at < count; ++at) {
        const Value& message = messages[at];
        int64_t rows = 0;
        const bool readable = message.data != nullptr && message.size <= static_cast<uint64_t>(largest);
        const int64_t most = readable ? allowance + expansion * static_cast<int64_t>(message.size) : 0;
        for (size_t tried = 0; readable && tried < layouts.size(); ++tried) {
          const size_t next = (last + tried) % layouts.size();
          rows = rows_of(*layouts[next], message, most);
          if (rows == 0) continue;
          last = next;
          break;
        }
        which_buffer.as<int32_t>()[at] = rows > 0 ? static_cast<int32_t>(last) : LEFT;
        sizes_buffer.as<int64_t>()[at] = rows;
        total += rows;
      }
    }
    return PyLong_FromLongLong(total);
  });
}

// What later steps share: messages with their layouts and rows. Throws where there are more rows than room.
struct Measured {
  Measured(PyObject* listed, PyObject* object, PyObject* which, PyObject* sizes)
      : layouts(layouts_of(listed)), messages(object), which_buffer(which, sizeof(int32_t), count()), sizes_buffer(sizes, sizeof(int64_t), count()) {}

  Py_ssize_t count() const { return static_cast<Py_ssize_t>(messages.size()); }
  int32_t& which(Py_ssize_t at) const { return which_buffer.as<int32_t>()[at]; }
  int64_t rows(Py_ssize_t at) const { return sizes_buffer.as<int64_t>()[at]; }

  // Whether each message still has the rows that were measured, and these are no more than there is room for.
  bool stands(int64_t room) const {
    for (Py_ssize_t at = 0; at < count(); ++at) {
      const Layout* layout = layout_of(layouts, which(at));
      if (layout != nullptr && rows_of(*layout, messages[at], INT64_MAX) != rows(at)) return false;
      if (rows(at) < 0 || rows(at) > room) return false;
      room -= rows(at);
    }
    return true;
  }

  const std::vector<const Layout*> layouts;
  const Values messages;
  const Buffer which_buffer, sizes_buffer;
};

[[noreturn]] void refuse() {
  PyErr_SetString(PyExc_ValueError, "messages are others than those that were measured");
  throw Failed();
}

// place(layouts, values, which, sizes, latest, times, owners, refused): event time and series of each row, REFUSED of one that has none; why is
// counted. A message with a time that is not understood is left: `which` and `owners` say so.
PyObject* place(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *listed, *values, *which, *sizes, *times, *owners, *refused;
    long long latest;
    checked(PyArg_ParseTuple(arguments, "O!OOOLOOO", &PyList_Type, &listed, &values, &which, &sizes, &latest, &times, &owners, &refused));
    const Measured measured(listed, values, which, sizes);
    const Buffer times_buffer(times, sizeof(int64_t), 0), owners_buffer(owners, sizeof(int32_t), times_buffer.size());
    const Buffer refused_buffer(refused, sizeof(int64_t), refusals);
    bool stands;
    {
      const Unlocked unlocked;
      stands = measured.stands(times_buffer.size());
      int64_t* time = times_buffer.as<int64_t>();
      int32_t* owner = owners_buffer.as<int32_t>();
      for (Py_ssize_t at = 0; stands && at < measured.count(); ++at) {
        const Layout* layout = layout_of(measured.layouts, measured.which(at));
        if (layout == nullptr) continue;
        Placer placer(*layout, latest);
        int64_t row = 0;
        const bool read = each_batch(*layout, measured.messages[at], [&](const Batch& batch) {
          if (!batch.sound() || !placer.place(batch, time + row, owner + row)) return false;
          row += batch.rows();
          return true;
        });
        for (size_t why = 0; read && why < refusals; ++why) refused_buffer.as<int64_t>()[why] += placer.refused[why];
        if (!read) {
          measured.which(at) = LEFT;
          std::fill(owner, owner + measured.rows(at), LEFT);
        }
        time += measured.rows(at);
        owner += measured.rows(at);
      }
    }
    if (!stands) refuse();
    Py_RETURN_NONE;
  });
}

// fill(layouts, values, which, sizes, owners, series, numbers, codes, ids, counts): the columns of one series, with what is counted of each slot.
PyObject* fill(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *listed, *values, *which, *sizes, *owners, *numbers, *codes, *ids, *counts;
    Py_ssize_t series, room;
    checked(PyArg_ParseTuple(arguments, "O!OOOOnnOOOO", &PyList_Type, &listed, &values, &which, &sizes, &owners, &series, &room, &numbers,
                             &codes, &ids, &counts));
    const Measured measured(listed, values, which, sizes);
    const Buffer owners_buffer(owners, sizeof(int32_t), 0), numbers_buffer(numbers, sizeof(double), 0);
    const Buffer codes_buffer(codes, sizeof(int32_t), 0), ids_buffer(ids, sizeof(uint64_t), 0), counts_buffer(counts, sizeof(int64_t), 0);
    for (const Layout* layout : measured.layouts) {
      if (series < 0 || room < 0 || static_cast<size_t>(series) >= layout->series.size()) refuse();
      const Wanted& wanted = layout->series[series];
      const auto numeric = static_cast<Py_ssize_t>(wanted.numbers.size()), coded = static_cast<Py_ssize_t>(wanted.categories.size());
      if (numbers_buffer.size() < room * numeric || codes_buffer.size() < room * coded || counts_buffer.size() < (numeric + coded) * reasons ||
          ids_buffer.size() < room * static_cast<Py_ssize_t>(wanted.ids.size()))
        refuse();
    }
    const Columns columns{numbers_buffer.as<double>(), codes_buffer.as<int32_t>(), ids_buffer.as<uint64_t>(), room};
    int64_t to = 0;
    {
      const Unlocked unlocked;
      if (!measured.stands(owners_buffer.size())) to = -1;
      const int32_t* owner = owners_buffer.as<int32_t>();
      for (Py_ssize_t at = 0; to >= 0 && at < measured.count(); ++at) {
        if (const Layout* layout = layout_of(measured.layouts, measured.which(at))) {
          Filler filler(*layout, layout->series[series], columns, counts_buffer.as<int64_t>());
          to = fill_message(*layout, measured.messages[at], static_cast<int32_t>(series), owner, filler, to, room);
        }
        owner += measured.rows(at);
      }
    }
    if (to != room) refuse();
    Py_RETURN_NONE;
  });
}

PyMethodDef METHODS[] = {
    {"layout", make_layout, METH_VARARGS, "Where batches of a schema keep what is wanted."},
    {"measure", measure, METH_VARARGS, "Tell the layout and the rows of each message."},
    {"place", place, METH_VARARGS, "Tell the time and series of each row."},
    {"fill", fill, METH_VARARGS, "Read the rows of a series into columns."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_arrow", "Arrow batches to columns.", 0, METHODS,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__arrow() { return PyModule_Create(&MODULE); }
