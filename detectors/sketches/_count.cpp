// Numbers and codes to counts: one pass, no temporary. detectors/sketches/counting.py says the same in numpy. A reference is
// counted a column at a time, with the sums of what lies in each cell and by window; detectors/sketches/placing.py says that.
//
// A value's place among a feature's edges is the number of edges that are not at or above it: numpy's
// searchsorted(side="left"), with NaN above all. There are few edges (about 390), and they are near, so the time goes into
// waiting for one comparison before the next can start: eight values go down side by side, each step a conditional move,
// never a branch to be guessed. The edges are read where the feature keeps them; there is no second copy.
//
// Where a batch is long a table says first which few edges are near: see Steps.
#include "_view.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

constexpr int LANES = 8;  // values side by side: more gains nothing (docs/adr/0008)
constexpr std::ptrdiff_t BLOCK = 256;  // rows at a time where a row's values lie together: their cache lines serve all features

constexpr Py_ssize_t MANY = 1 << 16;  // values from which others may run meanwhile: a third of a millisecond; getting the lock back takes time, too

constexpr double LARGEST = std::numeric_limits<double>::max();  // counts as infinite

struct Edges {
    const double *begin;  // rising; at least one
    std::size_t size;
    std::int64_t first;  // cell, of under; then bins, over, missing, -inf, +inf
};

// The range of a feature's edges in equal steps. A value is compared with the edges of its own step alone, two at once: those of steps
// before are below it and those of steps behind are not, since the step of a value is found by operations that rise with it, and the
// steps of edges by the very same. All values are compared with as many edges, beginning early enough for there to be so many.
constexpr std::size_t MOST_PAIRS = 4;  // of edges: beyond, as where most edges share a step, all edges are searched
constexpr std::size_t FEWEST_EDGES = 64;  // worth a table: fewer are searched as quickly
constexpr std::ptrdiff_t LONG = 256;  // rows from which a table is worth its kilobyte a feature: it is made for the first such batch

typedef double Pair __attribute__((vector_size(16)));
typedef std::int64_t Signs __attribute__((vector_size(16)));  // of a comparison: -1 where it holds

struct Scale {
    double low, factor, last;

    // The step of a value; of NaN the first. What lies beyond the ends is in the last one there.
    std::size_t step_of(double value) const {
        double step = (value - low) * factor;
        step = step > 0.0 ? step : 0.0;
        step = step < last ? step : last;
        return static_cast<std::size_t>(static_cast<std::int32_t>(step));
    }
};

struct Steps {
    Scale scale{};
    std::size_t pairs = 0;              // that a value is compared with; 0: there is no table
    std::vector<std::uint16_t> begins;  // of each step, the first edge to compare with

    // As few steps as do, twice as many as edges at most.
    explicit Steps(const Edges &edges) {
        if (FLT_EVAL_METHOD != 0 || edges.size < FEWEST_EDGES || edges.size > UINT16_MAX) return;
        std::size_t number = FEWEST_EDGES;
        while (number < edges.size) number *= 2;
        if (!divide(edges, number)) divide(edges, 2 * number);
    }

  private:
    // Makes the table of so many steps; false where too many edges share one.
    bool divide(const Edges &edges, std::size_t number) {
        const double low = edges.begin[0], factor = static_cast<double>(number) / (edges.begin[edges.size - 1] - low);
        if (!(factor > DBL_MIN && factor < LARGEST)) return false;
        scale = {low, factor, static_cast<double>(number - 1)};
        std::vector<std::size_t> held(number);
        for (std::size_t edge = 0; edge < edges.size; ++edge) ++held[scale.step_of(edges.begin[edge])];
        const std::size_t most = (*std::max_element(held.begin(), held.end()) + 1) / 2;
        if (most > MOST_PAIRS) return false;
        begins.resize(number);
        for (std::size_t step = 0, before = 0; step < number; before += held[step++])
            begins[step] = static_cast<std::uint16_t>(std::min(before, edges.size - 2 * most));
        pairs = most;
        return true;
    }
};

struct Codes {
    std::int64_t first;   // the cell of code 0
    std::int64_t number;  // codes are 0 … number - 1
};

struct Tables {
    std::vector<Edges> numbers;
    std::vector<std::unique_ptr<View>> held;  // where their edges lie
    std::vector<Codes> codes;
    std::int64_t size = 0;  // of the flat count vector
    std::unique_ptr<const std::vector<Steps>> steps = {};  // of each number; made once, by who has the interpreter lock
};

// The cell of what is not finite.
std::ptrdiff_t lost_cell(const Edges &edges, double value) {
    return static_cast<std::ptrdiff_t>(edges.size + 1) + (value < 0.0) + 2 * (value > 0.0);  // NaN, -inf, +inf
}

// Hands `take` each value's lane and cell: under, bins, over, missing, -inf, +inf.
template <typename Take>
void place_lanes(const Edges &edges, const double (&values)[LANES], int used, Take take) {
    const double *place[LANES];
    std::fill(place, place + LANES, edges.begin);
    for (std::size_t left = edges.size; left > 1; left -= left / 2) {
        const std::size_t half = left / 2;
        for (int lane = 0; lane < LANES; ++lane) {
            const double *const above = place[lane] + half;
            place[lane] = !(above[-1] >= values[lane]) ? above : place[lane];  // not "<": NaN climbs to the top
        }
    }
    for (int lane = 0; lane < used; ++lane) {
        const double value = values[lane];
        const std::ptrdiff_t at = place[lane] - edges.begin + !(*place[lane] >= value);
        take(lane, std::fabs(value) < LARGEST ? at : lost_cell(edges, value));
    }
}

// Which rows of a table are meant: so many from one on, or those at some places.
struct Run {
    std::ptrdiff_t first, number;
    std::ptrdiff_t operator[](std::ptrdiff_t row) const { return first + row; }
    Run part(std::ptrdiff_t from, std::ptrdiff_t most) const { return {first + from, std::min(most, number - from)}; }
};

struct Places {
    const std::int64_t *places;
    std::ptrdiff_t number;
    std::ptrdiff_t operator[](std::ptrdiff_t row) const { return static_cast<std::ptrdiff_t>(places[row]); }
    Places part(std::ptrdiff_t from, std::ptrdiff_t most) const { return {places + from, std::min(most, number - from)}; }
};

// Hands `take` each row of a column that is meant, and its cell.
template <typename Rows, typename Take>
void place_column(const Edges &edges, const char *column, Rows rows, std::ptrdiff_t stride, Take take) {
    double values[LANES] = {};
    for (std::ptrdiff_t row = 0; row < rows.number; row += LANES) {
        const int used = static_cast<int>(std::min<std::ptrdiff_t>(LANES, rows.number - row));
        for (int lane = 0; lane < used; ++lane) values[lane] = at<double>(column + rows[row + lane] * stride);
        place_lanes(edges, values, used, [&](int lane, std::ptrdiff_t cell) { take(row + lane, values[lane], cell); });
    }
}

// Counts are in integers of any width: that they hold as many rows is the caller's to see to.
template <typename Rows, typename Count>
void count_column(const Edges &edges, const char *column, Rows rows, std::ptrdiff_t stride, Count *counts) {
    const Edges own = edges;  // counts of bytes may lie anywhere, as far as a compiler knows, but not here
    Count *const row = counts + own.first;
    place_column(own, column, rows, stride, [=](std::ptrdiff_t, double, std::ptrdiff_t cell) { ++row[cell]; });
}

// The same by a table of steps.
template <std::size_t PAIRS, typename Rows, typename Count>
void count_by_steps(const Edges &edges, const Steps &steps, const char *column, Rows rows, std::ptrdiff_t stride, Count *counts) {
    const Edges own = edges;
    const Scale scale = steps.scale;
    const std::uint16_t *const begins = steps.begins.data();
    Count *const row = counts + own.first;
    for (std::ptrdiff_t number = 0; number < rows.number; ++number) {
        const double value = at<double>(column + rows[number] * stride);
        if (!(std::fabs(value) < LARGEST)) {
            ++row[lost_cell(own, value)];
            continue;
        }
        const std::size_t first = begins[scale.step_of(value)];
        const Pair both = {value, value};
        Signs below = {0, 0};
        for (std::size_t pair = 0; pair < PAIRS; ++pair) {
            Pair near;
            std::memcpy(&near, own.begin + first + 2 * pair, sizeof near);
            below += near < both;
        }
        ++row[static_cast<std::int64_t>(first) - below[0] - below[1]];
    }
}

template <typename Rows, typename Count>
void count_column(const Edges &edges, const Steps &steps, const char *column, Rows rows, std::ptrdiff_t stride, Count *counts) {
    switch (steps.pairs) {
        case 1: return count_by_steps<1>(edges, steps, column, rows, stride, counts);
        case 2: return count_by_steps<2>(edges, steps, column, rows, stride, counts);
        case 3: return count_by_steps<3>(edges, steps, column, rows, stride, counts);
        case 4: return count_by_steps<4>(edges, steps, column, rows, stride, counts);
        default: return count_column(edges, column, rows, stride, counts);
    }
}

template <typename Rows, typename Count>
void count_numbers(const Tables &tables, const std::vector<Steps> *steps, const Py_buffer &numbers, Rows rows, Count *counts) {
    const std::ptrdiff_t stride = numbers.strides[0];
    const std::ptrdiff_t block = stride == static_cast<std::ptrdiff_t>(sizeof(double)) ? std::max<std::ptrdiff_t>(rows.number, 1) : BLOCK;
    for (std::ptrdiff_t row = 0; row < rows.number; row += block) {
        const char *column = static_cast<const char *>(numbers.buf);
        for (std::size_t at = 0; at < tables.numbers.size(); ++at, column += numbers.strides[1]) {
            const Edges &edges = tables.numbers[at];
            if (steps == nullptr) count_column(edges, column, rows.part(row, block), stride, counts);
            else count_column(edges, (*steps)[at], column, rows.part(row, block), stride, counts);
        }
    }
}

template <typename Rows>
bool codes_fit(const Tables &tables, const Py_buffer &codes, Rows rows) {
    const char *column = static_cast<const char *>(codes.buf);
    for (const Codes &feature : tables.codes) {
        std::int32_t least = 0, most = 0;
        for (std::ptrdiff_t row = 0; row < rows.number; ++row) {
            const std::int32_t code = at<std::int32_t>(column + rows[row] * codes.strides[0]);
            least = std::min(least, code);
            most = std::max(most, code);
        }
        if (least < 0 || most >= feature.number) return false;
        column += codes.strides[1];
    }
    return true;
}

template <typename Rows, typename Count>
void count_codes(const Tables &tables, const Py_buffer &codes, Rows rows, Count *counts) {
    const char *column = static_cast<const char *>(codes.buf);
    for (const Codes &feature : tables.codes) {
        for (std::ptrdiff_t row = 0; row < rows.number; ++row)
            ++counts[feature.first + at<std::int32_t>(column + rows[row] * codes.strides[0])];
        column += codes.strides[1];
    }
}

// --- a column of a reference ------------------------------------------------------------------------------------------

bool is_row(const View &view, const char *letters, Py_ssize_t width) {
    return view.holds(letters, width, 1) && view.aligned(static_cast<std::size_t>(width));
}

// place(edges, values, scale, bases, counts, sums, cells): False, and nothing done, where they do not fit.
bool place_all(PyObject *const *arguments, double scale) {
    const View edges(arguments[0], PyBUF_CONTIG_RO | PyBUF_FORMAT), values(arguments[1], PyBUF_RECORDS_RO);
    const View bases(arguments[3], PyBUF_CONTIG_RO | PyBUF_FORMAT), counts(arguments[4], PyBUF_CONTIG | PyBUF_FORMAT);
    const View sums(arguments[5], PyBUF_CONTIG | PyBUF_FORMAT), cells(arguments[6], PyBUF_CONTIG | PyBUF_FORMAT);
    if (!is_row(edges, "d", sizeof(double)) || !values.holds("d", sizeof(double), 1) ||
        !is_row(bases, "d", sizeof(double)) || !is_row(counts, "lq", sizeof(std::int64_t)) ||
        !is_row(sums, "d", sizeof(double)) || !is_row(cells, "il", sizeof(std::int32_t)) || edges.buffer.shape[0] < 1 ||
        counts.buffer.shape[0] != edges.buffer.shape[0] + 4 || sums.buffer.shape[0] != counts.buffer.shape[0] ||
        bases.buffer.shape[0] != counts.buffer.shape[0] || cells.buffer.shape[0] != values.buffer.shape[0])
        return false;
    const Edges ladder{static_cast<const double *>(edges.buffer.buf), static_cast<std::size_t>(edges.buffer.shape[0]), 0};
    const auto *const base = static_cast<const double *>(bases.buffer.buf);
    auto *const count = static_cast<std::int64_t *>(counts.buffer.buf);
    auto *const sum = static_cast<double *>(sums.buffer.buf);
    auto *const found = static_cast<std::int32_t *>(cells.buffer.buf);
    const driftd::Unlocked unlocked;  // columns are counted side by side
    const Run rows{0, values.buffer.shape[0]};
    place_column(ladder, static_cast<const char *>(values.buffer.buf), rows, values.buffer.strides[0],
                 [=](std::ptrdiff_t row, double value, std::ptrdiff_t cell) {
                     ++count[cell];
                     sum[cell] += value * scale - base[cell];
                     found[row] = static_cast<std::int32_t>(cell);
                 });
    return true;
}

template <typename Number>
bool lie_in(const Number *numbers, Py_ssize_t size, Number least, Py_ssize_t end) {
    Number low = least, high = least;
    for (Py_ssize_t at = 0; at < size; ++at) {
        low = std::min(low, numbers[at]);
        high = std::max(high, numbers[at]);
    }
    return low >= least && high < static_cast<Number>(end);
}

// tally(cells, merged, window, slots, counts): False, and nothing counted, where they do not fit.
bool tally_all(PyObject *const *arguments) {
    const View cells(arguments[0], PyBUF_CONTIG_RO | PyBUF_FORMAT), merged(arguments[1], PyBUF_CONTIG_RO | PyBUF_FORMAT);
    const View window(arguments[2], PyBUF_CONTIG_RO | PyBUF_FORMAT), slots(arguments[3], PyBUF_CONTIG_RO | PyBUF_FORMAT);
    const View counts(arguments[4], PyBUF_RECORDS);
    if (!is_row(cells, "il", sizeof(std::int32_t)) || !is_row(merged, "lq", sizeof(std::int64_t)) ||
        !is_row(window, "lq", sizeof(std::int64_t)) || !is_row(slots, "lq", sizeof(std::int64_t)) ||
        !counts.holds("IL", sizeof(std::uint32_t), 2) || !counts.aligned(alignof(std::uint32_t)) ||
        counts.buffer.strides[1] != static_cast<Py_ssize_t>(sizeof(std::uint32_t)) ||
        cells.buffer.shape[0] != window.buffer.shape[0])
        return false;
    const auto *const cell = static_cast<const std::int32_t *>(cells.buffer.buf);
    const auto *const into = static_cast<const std::int64_t *>(merged.buffer.buf);
    const auto *const within = static_cast<const std::int64_t *>(window.buffer.buf);
    const auto *const slot = static_cast<const std::int64_t *>(slots.buffer.buf);
    const Py_ssize_t rows = cells.buffer.shape[0], known = merged.buffer.shape[0], windows = slots.buffer.shape[0];
    const driftd::Unlocked unlocked;
    if (!lie_in<std::int32_t>(cell, rows, 0, known) || !lie_in<std::int64_t>(within, rows, 0, windows) ||
        !lie_in<std::int64_t>(into, known, -1, counts.buffer.shape[1]) ||
        !lie_in<std::int64_t>(slot, windows, -1, counts.buffer.shape[0]))
        return false;
    char *const begin = static_cast<char *>(counts.buffer.buf);
    for (Py_ssize_t row = 0; row < rows; ++row) {
        const std::int64_t place = into[cell[row]], line = slot[within[row]];
        if (place >= 0 && line >= 0)
            ++reinterpret_cast<std::uint32_t *>(begin + line * counts.buffer.strides[0])[place];
    }
    return true;
}

PyObject *place(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 7) return PyErr_Format(PyExc_TypeError, "place takes 7 arguments, not %zd", number);
    const double scale = PyFloat_AsDouble(arguments[2]);
    if (PyErr_Occurred()) return nullptr;
    return PyBool_FromLong(place_all(arguments, scale));
}

PyObject *tally(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 5) return PyErr_Format(PyExc_TypeError, "tally takes 5 arguments, not %zd", number);
    return PyBool_FromLong(tally_all(arguments));
}

// --- a batch on a layout ----------------------------------------------------------------------------------------------

struct Counter {
    PyObject_HEAD
    Tables *tables;
};

// The tables of steps for so many rows; none where they are few.
const std::vector<Steps> *steps_for(Tables &tables, std::ptrdiff_t rows) {
    if (rows < LONG) return nullptr;
    if (tables.steps == nullptr) {
        try {
            tables.steps = std::make_unique<const std::vector<Steps>>(tables.numbers.begin(), tables.numbers.end());
        } catch (const std::bad_alloc &) {
            return nullptr;
        }
    }
    return tables.steps.get();
}

// The rows that are meant are counted.
template <typename Count, typename Rows>
bool count_into(Tables &tables, const Py_buffer &numbers, const Py_buffer &codes, Rows rows, void *counts) {
    const std::vector<Steps> *const steps = steps_for(tables, rows.number);
    const driftd::Unlocked unlocked(rows.number * (numbers.shape[1] + codes.shape[1]) >= MANY);
    count_numbers(tables, steps, numbers, rows, static_cast<Count *>(counts));
    count_codes(tables, codes, rows, static_cast<Count *>(counts));
    return true;
}

// True when all was counted, false when nothing was, because something does not fit: then the numpy path says what.
bool count_all(Tables &tables, PyObject *numeric, PyObject *categorical, PyObject *cells, PyObject *chosen) {
    const View numbers(numeric, PyBUF_RECORDS_RO), codes(categorical, PyBUF_RECORDS_RO);
    const View counts(cells, PyBUF_CONTIG | PyBUF_FORMAT);
    const auto fits = [&](const char *letters, std::size_t width) {
        return counts.holds(letters, static_cast<Py_ssize_t>(width), 1) && counts.aligned(width) && counts.buffer.shape[0] == tables.size;
    };
    if (!numbers.holds("d", sizeof(double), 2) || !codes.holds("il", sizeof(std::int32_t), 2) ||
        numbers.buffer.shape[1] != static_cast<Py_ssize_t>(tables.numbers.size()) ||
        codes.buffer.shape[1] != static_cast<Py_ssize_t>(tables.codes.size()) ||
        numbers.buffer.shape[0] != codes.buffer.shape[0])
        return false;
    const auto count_rows = [&](auto rows) {
        void *const flat = counts.buffer.buf;
        if (!codes_fit(tables, codes.buffer, rows)) return false;
        if (fits("B", 1)) return count_into<std::uint8_t>(tables, numbers.buffer, codes.buffer, rows, flat);
        if (fits("H", 2)) return count_into<std::uint16_t>(tables, numbers.buffer, codes.buffer, rows, flat);
        if (fits("IL", 4)) return count_into<std::uint32_t>(tables, numbers.buffer, codes.buffer, rows, flat);
        return fits("lq", 8) && count_into<std::int64_t>(tables, numbers.buffer, codes.buffer, rows, flat);
    };
    const Py_ssize_t rows = numbers.buffer.shape[0];
    if (chosen == Py_None) return count_rows(Run{0, rows});
    const View places(chosen, PyBUF_CONTIG_RO | PyBUF_FORMAT);
    if (!is_row(places, "lq", sizeof(std::int64_t))) return false;
    const Places some{static_cast<const std::int64_t *>(places.buffer.buf), places.buffer.shape[0]};
    return lie_in<std::int64_t>(some.places, some.number, 0, rows) && count_rows(some);
}

// As everywhere, nobody may change the arrays meanwhile: that the codes fit was seen before the lock was let go.
PyObject *counter_count(PyObject *self, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 4) return PyErr_Format(PyExc_TypeError, "count takes 4 arguments, not %zd", number);
    Tables &tables = *reinterpret_cast<Counter *>(self)->tables;
    return PyBool_FromLong(count_all(tables, arguments[0], arguments[1], arguments[2], arguments[3]));
}

void check(bool fits, const char *what) {
    if (!fits) throw std::invalid_argument(what);
}

// One flat array given to the constructor. Raises where it is of another type.
std::vector<std::int64_t> integers_of(PyObject *object, const char *name) {
    const View view(object, PyBUF_CONTIG_RO | PyBUF_FORMAT);
    check(view.holds("lq", sizeof(std::int64_t), 1), name);
    std::vector<std::int64_t> integers(static_cast<std::size_t>(view.buffer.shape[0]));
    if (!integers.empty()) std::memcpy(integers.data(), view.buffer.buf, integers.size() * sizeof(std::int64_t));
    return integers;
}

void add_numbers(Tables &tables, PyObject *edges, const std::vector<std::int64_t> &firsts) {
    check(PyTuple_Check(edges), "edges");
    check(PyTuple_Size(edges) == static_cast<Py_ssize_t>(firsts.size()), "firsts");
    for (std::size_t i = 0; i < firsts.size(); ++i) {
        auto view = std::make_unique<View>(PyTuple_GetItem(edges, static_cast<Py_ssize_t>(i)),
                                           PyBUF_CONTIG_RO | PyBUF_FORMAT);
        check(view->holds("d", sizeof(double), 1) && view->aligned(alignof(double)) && view->buffer.shape[0] > 0,
              "edges");
        const std::int64_t size = view->buffer.shape[0], first = firsts[i];
        check(first >= 0 && first <= tables.size && size + 4 <= tables.size - first, "firsts");
        tables.numbers.push_back({static_cast<const double *>(view->buffer.buf), static_cast<std::size_t>(size), first});
        tables.held.push_back(std::move(view));
    }
}

void add_codes(Tables &tables, const std::vector<std::int64_t> &codes) {  // first, number, first, number, …
    check(codes.size() % 2 == 0, "codes");
    for (std::size_t i = 0; i < codes.size(); i += 2) {
        const std::int64_t first = codes[i], number = codes[i + 1];
        check(first >= 0 && first <= tables.size && number >= 0 && number <= tables.size - first, "codes");
        tables.codes.push_back({first, number});
    }
}

Tables *tables_of(PyObject *edges, PyObject *firsts, PyObject *codes, Py_ssize_t size) {
    Tables tables;
    tables.size = size;
    add_numbers(tables, edges, integers_of(firsts, "firsts"));
    add_codes(tables, integers_of(codes, "codes"));
    return new Tables(std::move(tables));
}

PyObject *counter_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *edges, *firsts, *codes;
    Py_ssize_t size;
    if (keywords != nullptr && PyDict_Size(keywords) != 0)
        return PyErr_Format(PyExc_TypeError, "Counter takes no keyword arguments");
    if (!PyArg_ParseTuple(arguments, "OOOn:Counter", &edges, &firsts, &codes, &size)) return nullptr;
    Tables *tables;
    try {
        tables = tables_of(edges, firsts, codes, size);
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
     "count(numeric, codes, counts, places): add the rows at some places, or all, to the counts. False, and nothing counted, where they do not fit."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot counter_slots[] = {
    {Py_tp_new, slot(counter_new)},
    {Py_tp_dealloc, slot(counter_free)},
    {Py_tp_methods, counter_methods},
    {Py_tp_doc, const_cast<char *>("Counter(edges, firsts, codes, size): the tables of one grid.")},
    {0, nullptr}};

PyType_Spec counter_spec = {"detectors.sketches._count.Counter", sizeof(Counter), 0, Py_TPFLAGS_DEFAULT, counter_slots};

int fill(PyObject *module) {
    PyObject *const type = PyType_FromSpec(&counter_spec);
    if (type == nullptr) return -1;
    const int added = PyModule_AddObjectRef(module, "Counter", type);
    Py_DECREF(type);
    return added;
}

PyMethodDef module_methods[] = {
    {"place", reinterpret_cast<PyCFunction>(slot(place)), METH_FASTCALL,
     "place(edges, values, scale, bases, counts, sums, cells): find each value's cell, count it and add it up."},
    {"tally", reinterpret_cast<PyCFunction>(slot(tally)), METH_FASTCALL,
     "tally(cells, merged, window, slots, counts): count rows by window and merged cell."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot module_slots[] = {{Py_mod_exec, slot(fill)}, {0, nullptr}};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_count", "Numbers and codes to counts.", 0, module_methods, module_slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__count() { return PyModuleDef_Init(&module_definition); }
