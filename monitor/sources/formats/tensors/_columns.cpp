// JSON inference messages to columns by templates (HOT), see _template.hpp.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000  // what the wheel's tag promises
#include <Python.h>

#include "../../../../detectors/sketches/_unlocked.hpp"
#include "../../_python.hpp"
#include "_template.hpp"

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace driftd;

constexpr const char* TEMPLATE = "monitor.sources.formats.tensors._columns.Template";
constexpr const char* CODES = "monitor.sources.formats.tensors._columns.Codes";

// How a message lies, and what is told of it: its probe, and (count, width, shaped) of each of its arrays.
PyObject* learn(PyObject*, PyObject* raw) {
  return guarded([&]() -> PyObject* {
    char* bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(raw, &bytes, &size) != 0) return nullptr;  // a NUL stands behind it
    if (static_cast<size_t>(size) > MOST_MESSAGE) Py_RETURN_NONE;
    Learner learner(bytes, bytes + size);
    bool understood;
    {
      const Unlocked unlocked;
      understood = learner.run();
    }
    if (!understood) Py_RETURN_NONE;
    auto made = std::make_unique<Template>();
    const char* copied = bytes;
    PyObject* arrays = checked(PyList_New(0));
    for (const Spot& spot : learner.spots) {
      made->parts.push_back({std::string(copied, spot.begin), spot.place, spot.width, {}});
      copied = spot.end;
      if (spot.count == 0) continue;
      PyObject* told = checked(Py_BuildValue("(nni)", static_cast<Py_ssize_t>(spot.count), static_cast<Py_ssize_t>(spot.width), int{spot.shaped}));
      const int failed = PyList_Append(arrays, told);
      Py_DECREF(told);
      if (failed != 0) throw Failed();
    }
    made->parts.push_back({std::string(copied, static_cast<const char*>(bytes + size)), Place::nothing, 0, {}});
    return Py_BuildValue("(Ny#N)", capsule_of(std::move(made), TEMPLATE), learner.probe.data(), static_cast<Py_ssize_t>(learner.probe.size()), arrays);
  });
}

// aim(template, target, label, [[column of each cell of a row, …] of each array]).
PyObject* aim(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *capsule, *listed;
    int target, label;
    checked(PyArg_ParseTuple(arguments, "OiiO!", &capsule, &target, &label, &PyList_Type, &listed));
    auto* const made = static_cast<Template*>(checked(PyCapsule_GetPointer(capsule, TEMPLATE)));
    made->target = target;
    made->label = label;
    Py_ssize_t array = 0;
    for (Part& part : made->parts) {
      if (!is_array(part.place)) continue;
      PyObject* cells = checked(PyList_GetItem(listed, array++));
      part.columns.resize(static_cast<size_t>(PyList_Size(cells)));
      for (size_t at = 0; at < part.columns.size(); ++at) part.columns[at] = int_of(checked(PyList_GetItem(cells, static_cast<Py_ssize_t>(at))));
      if (part.columns.empty()) {
        PyErr_SetString(PyExc_ValueError, "an array has no cells");
        throw Failed();
      }
    }
    Py_RETURN_NONE;
  });
}

// codes([({text: code}, code of any other text, code of none), …]).
PyObject* codes(PyObject*, PyObject* listed) {
  return guarded([&]() -> PyObject* {
    auto made = std::make_unique<std::vector<Codes>>(static_cast<size_t>(PyList_Size(listed)));
    for (size_t at = 0; at < made->size(); ++at) {
      PyObject *texts, *text, *code;
      Codes& known = (*made)[at];
      PyObject* described = checked(PyList_GetItem(listed, static_cast<Py_ssize_t>(at)));
      checked(PyArg_ParseTuple(described, "O!ii", &PyDict_Type, &texts, &known.unseen, &known.missing));
      for (Py_ssize_t place = 0; PyDict_Next(texts, &place, &text, &code);) known.texts.add(text_of(text), int_of(code));
    }
    return capsule_of(std::move(made), CODES);
  });
}

// A field of rows in an array of theirs, or in one of its own: so many values a row, one behind another; or one, where it has no width.
template <typename T>
class Rows {
 public:
  Rows(PyObject* object, Py_ssize_t room, Py_ssize_t width) : there_(object != Py_None) {
    if (!there_) return;
    if (PyObject_GetBuffer(object, &view_, PyBUF_WRITABLE | PyBUF_STRIDES) != 0) throw Failed();
    const bool listed = view_.ndim == 2 && view_.shape[1] == width && (width < 2 || view_.strides[1] == sizeof(T));
    if (view_.itemsize == sizeof(T) && (listed || (view_.ndim == 1 && width < 0)) && view_.shape[0] >= room) return;
    PyBuffer_Release(&view_);
    PyErr_SetString(PyExc_ValueError, "an array has another type or is too short");
    throw Failed();
  }
  ~Rows() {
    if (there_) PyBuffer_Release(&view_);
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  Field<T> field() const { return there_ ? Field<T>{static_cast<char*>(view_.buf), view_.strides[0]} : Field<T>{}; }

 private:
  Py_buffer view_;
  const bool there_;
};

constexpr Py_ssize_t ALONE = -1;  // instead of a width

// The columns of a target, and the arrays that they lie in; the tallies are what is missing in each column, the rows, and those without an id.
struct Lent {
  std::unique_ptr<Rows<double>> numbers;
  std::unique_ptr<Rows<int32_t>> codes;
  std::unique_ptr<Rows<uint64_t>> ids, more;
  std::unique_ptr<Rows<int64_t>> times;
  std::unique_ptr<Buffer> tallies, whole, blank;
  Columns columns;

  // From (codes, room, width, numbers float64[room, width], codes int32[room, coded], ids and more uint64[room] or None, tallies
  // int64[width + coded + 2], the bytes of the rows that these are fields of, in this order of numbers and codes, or None, and of these the
  // times int64[room] and the bytes of a row with nothing in it).
  explicit Lent(PyObject* described) {
    PyObject *categories, *numbers_, *codes_, *ids_, *more_, *tallies_, *whole_, *times_, *blank_;
    Py_ssize_t room, width;
    checked(PyArg_ParseTuple(described, "OnnOOOOOOOO", &categories, &room, &width, &numbers_, &codes_, &ids_, &more_, &tallies_, &whole_,
                             &times_, &blank_));
    const auto& known = *static_cast<const std::vector<Codes>*>(checked(PyCapsule_GetPointer(categories, CODES)));
    const auto coded = static_cast<Py_ssize_t>(known.size());
    if (room < 0 || width < 0) {
      PyErr_SetString(PyExc_ValueError, "there is no such room");
      throw Failed();
    }
    numbers = std::make_unique<Rows<double>>(numbers_, room, width);
    codes = std::make_unique<Rows<int32_t>>(codes_, room, coded);
    ids = std::make_unique<Rows<uint64_t>>(ids_, room, ALONE);
    more = std::make_unique<Rows<uint64_t>>(more_, room, ALONE);
    tallies = std::make_unique<Buffer>(tallies_, 8, width + coded + 2);
    columns.categories = known.data();
    columns.numbers = numbers->field();
    columns.codes = codes->field();
    columns.ids = ids->field();
    columns.more = more->field();
    columns.lacking = tallies->as<int64_t>();
    columns.rows = columns.lacking[width + coded];
    if (columns.rows < 0 || columns.rows > room || columns.numbers.begin == nullptr || columns.codes.begin == nullptr) {
      PyErr_SetString(PyExc_ValueError, "there are not so many rows");
      throw Failed();
    }
    columns.width = width;
    columns.coded = coded;
    columns.room = room;
    if (whole_ != Py_None && room > 0) lie_in(whole_, times_, blank_);
  }

  // The fields have to lie in the rows one behind another, numbers before codes.
  void lie_in(PyObject* rows, PyObject* times_, PyObject* nothing) {
    whole = std::make_unique<Buffer>(rows, 1, columns.room);
    columns.whole = whole->as<char>();
    columns.row_bytes = whole->size() / columns.room;
    blank = std::make_unique<Buffer>(nothing, 1, columns.row_bytes);
    columns.blank = blank->as<char>();
    times = std::make_unique<Rows<int64_t>>(times_, columns.room, ALONE);
    columns.times = times->field();
    // what has no columns has no place of its own
    if (columns.width == 0) columns.numbers = {columns.coded == 0 ? columns.whole : columns.codes.begin, columns.row_bytes};
    if (columns.coded == 0) columns.codes = {columns.numbers.at(0, columns.width), columns.row_bytes};
    const char *const end = columns.whole + columns.row_bytes, *const numbered = columns.numbers.at(0, columns.width);
    const bool ordered = columns.numbers.begin >= columns.whole && columns.codes.begin >= numbered && columns.codes.at(0, columns.coded) <= end;
    const bool timed = columns.times.begin >= columns.whole && columns.times.at(0, 1) <= end && columns.times.step == columns.row_bytes;
    if (ordered && timed && columns.numbers.step == columns.row_bytes && columns.codes.step == columns.row_bytes) return;
    PyErr_SetString(PyExc_ValueError, "fields lie elsewhere than in their rows");
    throw Failed();
  }

  // Say how many rows there are now.
  void tell() const {
    columns.lacking[columns.width + columns.coded] = columns.rows;
    columns.lacking[columns.width + columns.coded + 1] += columns.nameless;
  }

  // Whether a template asks for columns that there are.
  bool holds(const Template& made) const {
    for (const Part& part : made.parts) {
      if (part.columns.empty() && is_array(part.place)) return false;
      for (const int32_t column : part.columns)
        if (column < NOBODY || column >= (part.place == Place::texts ? columns.coded : columns.width)) return false;
    }
    return true;
  }
};

struct Message {
  const char* data;
  size_t size;
  std::string_view own;
  int kind;
  int64_t time;
};

constexpr int STOPPED_ROOM = 1, STOPPED_OTHER = 2;

// All that a scan reads and writes.
struct Scan {
  std::vector<std::vector<const Template*>> kinds;
  std::vector<std::unique_ptr<Lent>> targets;
  std::vector<Message> messages;
  std::vector<size_t> last;  // the template of each kind that read the message before
  int32_t* rows = nullptr;
  int32_t* labels = nullptr;

  // One message by the templates of its kind, the last that read one first.
  Outcome read(size_t at) {
    const Message& message = messages[at];
    const auto& templates = kinds[static_cast<size_t>(message.kind)];
    size_t& first = last[static_cast<size_t>(message.kind)];
    for (size_t tried = 0; tried < templates.size(); ++tried) {
      const size_t place = (first + tried) % templates.size();
      const Template& made = *templates[place];
      Columns& to = targets[static_cast<size_t>(made.target)]->columns;
      TemplateReader reader(made, message.data, message.data + message.size, to);
      const Outcome outcome = reader.read();
      if (outcome == Outcome::other) continue;
      if (outcome == Outcome::read) {
        reader.taken(message.own.empty() ? reader.id : message.own, message.time);
        rows[at] = static_cast<int32_t>(reader.rows);
        labels[at] = made.label;
        first = place;
      }
      return outcome;
    }
    return Outcome::other;
  }

  // From a message on; which one it stopped at, and why: there is no room for its rows, or no template reads it and that is asked for.
  std::pair<size_t, int> run(size_t at, bool stops) {
    for (; at < messages.size(); ++at) {
      rows[at] = 0;
      if (messages[at].size > MOST_MESSAGE) continue;
      const Outcome outcome = read(at);
      if (outcome == Outcome::full) return {at, STOPPED_ROOM};
      if (outcome == Outcome::other && stops) return {at, STOPPED_OTHER};
    }
    return {at, 0};
  }
};

std::vector<Message> messages_of(PyObject* bodies, PyObject* owns, const int32_t* kinds, const int64_t* times, size_t most) {
  std::vector<Message> found(static_cast<size_t>(PyList_Size(bodies)));
  for (size_t at = 0; at < found.size(); ++at) {
    char* bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(checked(PyList_GetItem(bodies, static_cast<Py_ssize_t>(at))), &bytes, &size) != 0) throw Failed();
    PyObject* own = checked(PyList_GetItem(owns, static_cast<Py_ssize_t>(at)));
    found[at] = {bytes, static_cast<size_t>(size), own == Py_None ? std::string_view() : text_of(own), kinds[at], times[at]};
    if (kinds[at] < 0 || static_cast<size_t>(kinds[at]) >= most) {
      PyErr_SetString(PyExc_ValueError, "a message is of no kind");
      throw Failed();
    }
  }
  return found;
}

// scan([[template, …] of each kind], [target, …], bodies, own ids, kinds int32[n], times int64[n], rows int32[n], labels int32[n], from, stops).
PyObject* scan(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *kinds, *targets, *bodies, *owns, *of, *times, *rows, *labels;
    Py_ssize_t from;
    int stops;
    checked(PyArg_ParseTuple(arguments, "O!O!O!O!OOOOnp", &PyList_Type, &kinds, &PyList_Type, &targets, &PyList_Type, &bodies, &PyList_Type, &owns, &of,
                             &times, &rows, &labels, &from, &stops));
    const Py_ssize_t count = PyList_Size(bodies);
    const Buffer of_kinds(of, 4, count), times_(times, 8, count), rows_(rows, 4, count), labels_(labels, 4, count);
    Scan scan;
    scan.rows = rows_.as<int32_t>();
    scan.labels = labels_.as<int32_t>();
    for (Py_ssize_t at = 0; at < PyList_Size(targets); ++at) scan.targets.push_back(std::make_unique<Lent>(checked(PyList_GetItem(targets, at))));
    for (Py_ssize_t at = 0; at < PyList_Size(kinds); ++at) {
      PyObject* listed = checked(PyList_GetItem(kinds, at));
      scan.kinds.emplace_back();
      for (Py_ssize_t place = 0; place < PyList_Size(listed); ++place) {
        const auto* made = static_cast<const Template*>(checked(PyCapsule_GetPointer(checked(PyList_GetItem(listed, place)), TEMPLATE)));
        if (made->target < 0 || static_cast<size_t>(made->target) >= scan.targets.size() || !scan.targets[static_cast<size_t>(made->target)]->holds(*made)) {
          PyErr_SetString(PyExc_ValueError, "a template asks for columns that there are not");
          throw Failed();
        }
        scan.kinds.back().push_back(made);
      }
    }
    scan.last.resize(scan.kinds.size());
    scan.messages = messages_of(bodies, owns, of_kinds.as<int32_t>(), times_.as<int64_t>(), scan.kinds.size());
    if (from < 0 || from > count) {
      PyErr_SetString(PyExc_ValueError, "there is no such message");
      throw Failed();
    }
    std::pair<size_t, int> stopped;
    {
      const Unlocked unlocked;
      stopped = scan.run(static_cast<size_t>(from), stops != 0);
    }
    for (const auto& lent : scan.targets) lent->tell();
    return Py_BuildValue("(ni)", static_cast<Py_ssize_t>(stopped.first), stopped.second);
  });
}

PyMethodDef METHODS[] = {
    {"learn", learn, METH_O, "How a message lies, a probe of it, and its arrays: (template, probe, [(count, width, shaped), …]); or None."},
    {"aim", aim, METH_VARARGS, "Say which column each cell of a template's arrays is of, and how its messages are labelled."},
    {"codes", codes, METH_O, "The categories of columns."},
    {"scan", scan, METH_VARARGS, "Read messages by templates into columns; where it stopped, and why: (message, 0, 1 no room or 2 no template)."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot SLOTS[] = {{0, nullptr}};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_columns", "JSON inference messages to columns.", 0, METHODS, SLOTS, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__columns() { return PyModuleDef_Init(&MODULE); }
