// Numbers and codes to counts: one pass, no temporary. detectors/sketches/counting.py says the same in numpy.
//
// A value's place on a ladder is the number of rungs that are not at or above it: numpy's searchsorted(side="left"), with
// NaN above all. Every ladder is short (about 390 rungs) and near, so the time goes into waiting for one comparison before
// the next can start: eight values go down side by side, each step a conditional move, never a branch to be guessed.
#include "_view.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

constexpr int LANES = 8;  // values side by side: more gains nothing (docs/adr/0008)
constexpr std::ptrdiff_t BLOCK = 256;  // rows at a time where a row's values lie together: their cache lines serve all features

struct Ladder {
    std::vector<double> rungs;        // rising; at least one
    std::vector<std::int32_t> cells;  // the cell of each place: one more than there are rungs
};

struct Codes {
    std::int64_t first;   // the cell of code 0
    std::int64_t number;  // codes are 0 … number - 1
};

struct Tables {
    std::vector<Ladder> ladders;
    std::vector<Codes> codes;
    std::int64_t size = 0;  // of the flat count vector
};

void count_lanes(const Ladder &ladder, const double (&values)[LANES], int used, std::int64_t *counts) {
    const double *const rungs = ladder.rungs.data();
    const double *place[LANES];
    std::fill(place, place + LANES, rungs);
    for (std::size_t left = ladder.rungs.size(); left > 1; left -= left / 2) {
        const std::size_t half = left / 2;
        for (int lane = 0; lane < LANES; ++lane) {
            const double *const above = place[lane] + half;
            place[lane] = !(above[-1] >= values[lane]) ? above : place[lane];  // not "<": NaN climbs to the top
        }
    }
    for (int lane = 0; lane < used; ++lane) {
        const std::ptrdiff_t top = !(*place[lane] >= values[lane]);
        ++counts[ladder.cells[static_cast<std::size_t>(place[lane] - rungs + top)]];
    }
}

void count_column(const Ladder &ladder, const char *column, std::ptrdiff_t rows, std::ptrdiff_t stride,
                  std::int64_t *counts) {
    double values[LANES] = {};
    for (std::ptrdiff_t row = 0; row < rows; row += LANES) {
        const int used = static_cast<int>(std::min<std::ptrdiff_t>(LANES, rows - row));
        for (int lane = 0; lane < used; ++lane) values[lane] = at<double>(column + (row + lane) * stride);
        count_lanes(ladder, values, used, counts);
    }
}

void count_numbers(const Tables &tables, const Py_buffer &numbers, std::int64_t *counts) {
    const char *const begin = static_cast<const char *>(numbers.buf);
    const std::ptrdiff_t rows = numbers.shape[0], stride = numbers.strides[0];
    const std::ptrdiff_t block = stride == static_cast<std::ptrdiff_t>(sizeof(double)) ? rows : BLOCK;
    for (std::ptrdiff_t row = 0; row < rows; row += block) {
        const char *column = begin + row * stride;
        for (const Ladder &ladder : tables.ladders) {
            count_column(ladder, column, std::min(block, rows - row), stride, counts);
            column += numbers.strides[1];
        }
    }
}

bool codes_fit(const Tables &tables, const Py_buffer &codes) {
    const char *column = static_cast<const char *>(codes.buf);
    for (const Codes &feature : tables.codes) {
        std::int32_t least = 0, most = 0;
        for (std::ptrdiff_t row = 0; row < codes.shape[0]; ++row) {
            const std::int32_t code = at<std::int32_t>(column + row * codes.strides[0]);
            least = std::min(least, code);
            most = std::max(most, code);
        }
        if (least < 0 || most >= feature.number) return false;
        column += codes.strides[1];
    }
    return true;
}

void count_codes(const Tables &tables, const Py_buffer &codes, std::int64_t *counts) {
    const char *column = static_cast<const char *>(codes.buf);
    for (const Codes &feature : tables.codes) {
        for (std::ptrdiff_t row = 0; row < codes.shape[0]; ++row)
            ++counts[feature.first + at<std::int32_t>(column + row * codes.strides[0])];
        column += codes.strides[1];
    }
}

struct Counter {
    PyObject_HEAD
    Tables *tables;
};

// True when all was counted, false when nothing was, because something does not fit: then the numpy path says what.
bool count_all(const Tables &tables, PyObject *numeric, PyObject *categorical, PyObject *cells) {
    const View numbers(numeric, PyBUF_RECORDS_RO), codes(categorical, PyBUF_RECORDS_RO);
    const View counts(cells, PyBUF_CONTIG | PyBUF_FORMAT);
    if (!numbers.holds("d", sizeof(double), 2) || !codes.holds("il", sizeof(std::int32_t), 2) ||
        !counts.holds("lq", sizeof(std::int64_t), 1) || !counts.aligned(alignof(std::int64_t)) ||
        counts.buffer.shape[0] != tables.size ||
        numbers.buffer.shape[1] != static_cast<Py_ssize_t>(tables.ladders.size()) ||
        codes.buffer.shape[1] != static_cast<Py_ssize_t>(tables.codes.size()) ||
        numbers.buffer.shape[0] != codes.buffer.shape[0] || !codes_fit(tables, codes.buffer))
        return false;
    auto *const flat = static_cast<std::int64_t *>(counts.buffer.buf);
    count_numbers(tables, numbers.buffer, flat);
    count_codes(tables, codes.buffer, flat);
    return true;
}

// The interpreter lock is kept: 10 000 rows of 20 features take a millisecond, and getting it back may take five.
PyObject *counter_count(PyObject *self, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 3) return PyErr_Format(PyExc_TypeError, "count takes 3 arguments, not %zd", number);
    const Tables &tables = *reinterpret_cast<Counter *>(self)->tables;
    return PyBool_FromLong(count_all(tables, arguments[0], arguments[1], arguments[2]));
}

// One flat array given to the constructor. Raises where it is of another type.
template <typename Number>
std::vector<Number> numbers_of(PyObject *object, const char *letters, const char *name) {
    const View view(object, PyBUF_CONTIG_RO | PyBUF_FORMAT);
    if (!view.holds(letters, sizeof(Number), 1)) throw std::invalid_argument(name);
    std::vector<Number> numbers(static_cast<std::size_t>(view.buffer.shape[0]));
    if (!numbers.empty()) std::memcpy(numbers.data(), view.buffer.buf, numbers.size() * sizeof(Number));
    return numbers;
}

void check(bool fits, const char *what) {
    if (!fits) throw std::invalid_argument(what);
}

void add_ladders(Tables &tables, const std::vector<double> &rungs, const std::vector<std::int64_t> &cells,
                 const std::vector<std::int64_t> &sizes) {
    check(tables.size <= std::numeric_limits<std::int32_t>::max(), "cells");
    for (const std::int64_t each : cells) check(each >= 0 && each < tables.size, "cells");
    auto rung = rungs.begin();
    auto cell = cells.begin();
    for (const std::int64_t size : sizes) {
        check(size > 0 && size <= rungs.end() - rung && size < cells.end() - cell, "sizes");
        tables.ladders.push_back({{rung, rung + size}, {cell, cell + size + 1}});
        rung += size;
        cell += size + 1;
    }
    check(rung == rungs.end() && cell == cells.end(), "sizes");
}

void add_codes(Tables &tables, const std::vector<std::int64_t> &codes) {  // first, number, first, number, …
    check(codes.size() % 2 == 0, "codes");
    for (std::size_t i = 0; i < codes.size(); i += 2) {
        const std::int64_t first = codes[i], number = codes[i + 1];
        check(first >= 0 && first <= tables.size && number >= 0 && number <= tables.size - first, "codes");
        tables.codes.push_back({first, number});
    }
}

Tables *tables_of(PyObject *rungs, PyObject *cells, PyObject *sizes, PyObject *codes, Py_ssize_t size) {
    Tables tables;
    tables.size = size;
    add_ladders(tables, numbers_of<double>(rungs, "d", "rungs"), numbers_of<std::int64_t>(cells, "lq", "cells"),
                numbers_of<std::int64_t>(sizes, "lq", "sizes"));
    add_codes(tables, numbers_of<std::int64_t>(codes, "lq", "codes"));
    return new Tables(std::move(tables));
}

PyObject *counter_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *rungs, *cells, *sizes, *codes;
    Py_ssize_t size;
    if (keywords != nullptr && PyDict_Size(keywords) != 0)
        return PyErr_Format(PyExc_TypeError, "Counter takes no keyword arguments");
    if (!PyArg_ParseTuple(arguments, "OOOOn:Counter", &rungs, &cells, &sizes, &codes, &size)) return nullptr;
    Tables *tables;
    try {
        tables = tables_of(rungs, cells, sizes, codes, size);
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    } catch (const std::exception &error) {
        return PyErr_Format(PyExc_ValueError, "the %s do not fit", error.what());
    }
    const auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
    PyObject *const self = allocate(type, 0);
    if (self == nullptr) delete tables;
    else reinterpret_cast<Counter *>(self)->tables = tables;
    return self;
}

void counter_free(PyObject *self) {
    PyTypeObject *const type = Py_TYPE(self);
    delete reinterpret_cast<Counter *>(self)->tables;
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

// Through a pointer of no type: each kind of function is stored as another in the tables of the interface.
template <typename Function>
void *slot(Function function) {
    return reinterpret_cast<void *>(function);
}

PyMethodDef counter_methods[] = {
    {"count", reinterpret_cast<PyCFunction>(slot(counter_count)), METH_FASTCALL,
     "count(numeric, codes, counts): add a batch to the counts. False, and nothing counted, where they do not fit."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot counter_slots[] = {
    {Py_tp_new, slot(counter_new)},
    {Py_tp_dealloc, slot(counter_free)},
    {Py_tp_methods, counter_methods},
    {Py_tp_doc, const_cast<char *>("Counter(rungs, cells, sizes, codes, size): the tables of one grid.")},
    {0, nullptr}};

PyType_Spec counter_spec = {"detectors.sketches._count.Counter", sizeof(Counter), 0, Py_TPFLAGS_DEFAULT, counter_slots};

int fill(PyObject *module) {
    PyObject *const type = PyType_FromSpec(&counter_spec);
    if (type == nullptr) return -1;
    const int added = PyModule_AddObjectRef(module, "Counter", type);
    Py_DECREF(type);
    return added;
}

PyModuleDef_Slot module_slots[] = {{Py_mod_exec, slot(fill)}, {0, nullptr}};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_count", "Numbers and codes to counts.", 0, nullptr, module_slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__count() { return PyModuleDef_Init(&module_definition); }
