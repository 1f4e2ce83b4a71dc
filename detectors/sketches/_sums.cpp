// Sums over the cells of a window, a pass each. detectors/sketches/sums.py says the same in numpy, operation by operation:
// additions of floats are in the same order, products are not fused into them (-ffp-contract=off in hatch_build.py), and
// a largest or smallest of numbers is the same in any order.
#include "_view.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>

namespace {

constexpr std::int64_t LANES = 4;  // sums side by side: an addition need not wait for the last one

// One array given to a function: contiguous, of so many dimensions.
template <typename Number>
class Array {
  public:
    Array(PyObject *object, int dimensions, int flags = PyBUF_CONTIG_RO)
        : view_(object, flags | PyBUF_FORMAT), fits_(view_.holds(letters(), sizeof(Number), dimensions) &&
                                                    view_.aligned(alignof(Number))) {}
    bool fits() const { return fits_; }
    Py_ssize_t length(int axis = 0) const { return view_.buffer.shape[axis]; }
    Number *data() const { return static_cast<Number *>(view_.buffer.buf); }
    Number &operator[](Py_ssize_t at) const { return data()[at]; }

  private:
    static const char *letters();
    View view_;
    bool fits_;
};

template <>
const char *Array<std::int64_t>::letters() { return "lq"; }
template <>
const char *Array<double>::letters() { return "d"; }
template <>
const char *Array<std::int32_t>::letters() { return "il"; }
template <>
const char *Array<bool>::letters() { return "?"; }

using Ints = Array<std::int64_t>;
using Floats = Array<double>;

// Whether each run of cells lies within the counts, and no run is longer than a row of the tables.
bool runs_fit(const Ints &starts, const Ints &widths, Py_ssize_t size, Py_ssize_t widest) {
    for (Py_ssize_t row = 0; row < starts.length(); ++row)
        if (starts[row] < 0 || widths[row] < 1 || widths[row] > widest || starts[row] > size - widths[row]) return false;
    return true;
}

// Whether the runs that begin here follow each other from the first cell to the last, and none is empty.
bool chained(const Ints &starts, Py_ssize_t size) {
    for (Py_ssize_t row = 0; row < starts.length(); ++row) {
        const std::int64_t end = row + 1 < starts.length() ? starts[row + 1] : size;
        if (starts[row] < 0 || starts[row] >= end || end > size) return false;
    }
    return starts.length() == 0 || starts[0] == 0;
}

bool same_length(std::initializer_list<Py_ssize_t> lengths) {
    return std::all_of(lengths.begin(), lengths.end(), [&](Py_ssize_t each) { return each == *lengths.begin(); });
}

// One feature of the reference: rows up to each right edge, which bins hold a single value, rows in all, and the largest
// share of the other bins.
struct Reference {
    const std::int32_t *upto;
    const bool *single;
    double rows, most;

    double share(std::int64_t cell) const {
        return static_cast<double>(upto[cell] - (cell > 0 ? upto[cell - 1] : 0)) / rows;
    }
};

// How far a running share is from the reference's: `value` at the edges, `upper` inside the bins. Division sets the pace. The
// reference's own shares are divided out anew each time, two at once, for as tables they are most of what a reference
// takes in memory; that of a bin only where it may be the farthest.
void distance(const std::int64_t *counts, std::int64_t width, double rows, const Reference &reference, double *apart,
              double *value, double *upper) {
    const double all = reference.rows;
    for (std::int64_t cell = 0; cell < width; ++cell) apart[cell] = static_cast<double>(reference.upto[cell]) / all;
    std::int64_t running = 0;
    double highest = -std::numeric_limits<double>::infinity(), lowest = -highest;
    for (std::int64_t cell = 0; cell < width; ++cell) {
        running += counts[cell];
        apart[cell] = static_cast<double>(running) / rows - apart[cell];
        highest = std::max(highest, apart[cell]);
        lowest = std::min(lowest, apart[cell]);
    }
    double farthest = *value = std::max(highest, -lowest) + 0.0;
    for (std::int64_t cell = 0; cell < width; ++cell) {
        const double either = cell > 0 ? std::max(apart[cell], -apart[cell - 1]) : apart[0];
        if (either + reference.most > farthest && !reference.single[cell])
            farthest = std::max(farthest, either + reference.share(cell));
    }
    *upper = std::min(farthest, 1.0);
}

bool distances(PyObject *const *given) {
    const Ints counts(given[0], 1), starts(given[1], 1), widths(given[2], 1);
    const Array<std::int32_t> upto(given[4], 2);
    const Array<bool> single(given[5], 2);
    const Floats rows(given[3], 1), behind(given[6], 1), most(given[7], 1);
    const Floats values(given[8], 1, PyBUF_CONTIG), upper(given[9], 1, PyBUF_CONTIG);
    if (!counts.fits() || !starts.fits() || !widths.fits() || !rows.fits() || !upto.fits() || !single.fits() ||
        !behind.fits() || !most.fits() || !values.fits() || !upper.fits() || upto.length(1) != single.length(1) ||
        !same_length({starts.length(), widths.length(), rows.length(), upto.length(), single.length(), behind.length(),
                      most.length(), values.length(), upper.length()}) ||
        !runs_fit(starts, widths, counts.length(), upto.length(1)))
        return false;
    const std::unique_ptr<double[]> apart(new (std::nothrow) double[static_cast<std::size_t>(upto.length(1))]);
    if (apart == nullptr) return false;
    for (Py_ssize_t row = 0; row < starts.length(); ++row) {
        const Py_ssize_t first = row * upto.length(1);
        const Reference reference{upto.data() + first, single.data() + first, behind[row], most[row]};
        distance(counts.data() + starts[row], widths[row], rows[row], reference, apart.get(), &values[row], &upper[row]);
    }
    return true;
}

double moment(const std::int64_t *counts, std::int64_t width, const double *places) {
    double lanes[LANES] = {};
    const std::int64_t whole = width - width % LANES;
    for (std::int64_t cell = 0; cell < whole; cell += LANES)
        for (std::int64_t lane = 0; lane < LANES; ++lane)
            lanes[lane] += static_cast<double>(counts[cell + lane]) * places[cell + lane];
    for (std::int64_t cell = whole; cell < width; ++cell)
        lanes[cell - whole] += static_cast<double>(counts[cell]) * places[cell];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + 0.0;
}

bool moments(PyObject *const *given) {
    const Ints counts(given[0], 1), starts(given[1], 1), widths(given[2], 1);
    const Floats places(given[3], 2), sums(given[4], 1, PyBUF_CONTIG);
    if (!counts.fits() || !starts.fits() || !widths.fits() || !places.fits() || !sums.fits() ||
        !same_length({starts.length(), widths.length(), places.length(), sums.length()}) ||
        !runs_fit(starts, widths, counts.length(), places.length(1)))
        return false;
    for (Py_ssize_t row = 0; row < starts.length(); ++row)
        sums[row] = moment(counts.data() + starts[row], widths[row], places.data() + row * places.length(1));
    return true;
}

// One feature's cells of window and reference, and how many rows each side has in them.
struct Table {
    const std::int64_t *window, *reference;
    std::int64_t cells;

    double rows(const std::int64_t *side) const {
        std::int64_t sum = 0;
        for (std::int64_t cell = 0; cell < cells; ++cell) sum += side[cell];
        return static_cast<double>(sum);
    }
    std::int64_t held() const {  // the cells that are not empty on both sides
        std::int64_t found = 0;
        for (std::int64_t cell = 0; cell < cells; ++cell) found += window[cell] + reference[cell] > 0;
        return found;
    }
};

double squares(const Table &table) {
    const double n = std::max(table.rows(table.window), 1.0), m = std::max(table.rows(table.reference), 1.0);
    double sum = 0.0;
    for (std::int64_t cell = 0; cell < table.cells; ++cell) {
        const double apart =
            static_cast<double>(table.window[cell]) / n - static_cast<double>(table.reference[cell]) / m;
        const std::int64_t both = table.window[cell] + table.reference[cell];
        sum += apart * apart / static_cast<double>(std::max<std::int64_t>(both, 1));
    }
    return sum * n * m;
}

void smoothed(const Table &table, double *ratio, double *apart, double *expected) {
    const double bins = std::max(static_cast<double>(table.held()), 1.0);
    const double n = table.rows(table.window), m = table.rows(table.reference);
    const double window_rows = n + bins * 0.5, reference_rows = m + bins * 0.5, some = std::max(n, 1.0);
    for (std::int64_t cell = 0; cell < table.cells; ++cell) {
        const bool held = table.window[cell] + table.reference[cell] > 0;
        const double p = (static_cast<double>(table.window[cell]) + 0.5) / window_rows;
        const double q = (static_cast<double>(table.reference[cell]) + 0.5) / reference_rows;
        ratio[cell] = held ? p / q : 1.0;
        apart[cell] = held ? p - q : 0.0;
    }
    *expected = (bins - 1.0) * (1.0 / some + 1.0 / std::max(m, 1.0)) * (1.0 + bins / (2.0 * some));
}

Table table_at(const Ints &window, const Ints &reference, const Ints &starts, Py_ssize_t row) {
    const std::int64_t first = starts[row], end = row + 1 < starts.length() ? starts[row + 1] : window.length();
    return {window.data() + first, reference.data() + first, end - first};
}

bool pearson(PyObject *const *given) {
    const Ints window(given[0], 1), reference(given[1], 1), starts(given[2], 1), dof(given[4], 1, PyBUF_CONTIG);
    const Floats sums(given[3], 1, PyBUF_CONTIG);
    if (!window.fits() || !reference.fits() || !starts.fits() || !sums.fits() || !dof.fits() ||
        !same_length({window.length(), reference.length()}) ||
        !same_length({starts.length(), sums.length(), dof.length()}) || !chained(starts, window.length()))
        return false;
    for (Py_ssize_t row = 0; row < starts.length(); ++row) {
        const Table table = table_at(window, reference, starts, row);
        dof[row] = std::max<std::int64_t>(table.held() - 1, 0);
        sums[row] = dof[row] > 0 ? squares(table) : 0.0;
    }
    return true;
}

bool shares(PyObject *const *given) {
    const Ints window(given[0], 1), reference(given[1], 1), starts(given[2], 1);
    const Floats ratios(given[3], 1, PyBUF_CONTIG), apart(given[4], 1, PyBUF_CONTIG), expected(given[5], 1, PyBUF_CONTIG);
    if (!window.fits() || !reference.fits() || !starts.fits() || !ratios.fits() || !apart.fits() || !expected.fits() ||
        !same_length({window.length(), reference.length(), ratios.length(), apart.length()}) ||
        !same_length({starts.length(), expected.length()}) || !chained(starts, window.length()))
        return false;
    for (Py_ssize_t row = 0; row < starts.length(); ++row)
        smoothed(table_at(window, reference, starts, row), ratios.data() + starts[row], apart.data() + starts[row],
                 &expected[row]);
    return true;
}

bool runs(PyObject *const *given) {
    const Ints counts(given[0], 1), starts(given[1], 1), sums(given[2], 1, PyBUF_CONTIG);
    if (!counts.fits() || !starts.fits() || !sums.fits() || !same_length({starts.length(), sums.length()}) ||
        !chained(starts, counts.length()))
        return false;
    for (Py_ssize_t row = 0; row < starts.length(); ++row) {
        const std::int64_t end = row + 1 < starts.length() ? starts[row + 1] : counts.length();
        std::int64_t sum = 0;
        for (std::int64_t cell = starts[row]; cell < end; ++cell) sum += counts[cell];
        sums[row] = sum;
    }
    return true;
}

// A function of so many arrays as one of Python's: True where it was done, False where they do not fit.
template <bool (*work)(PyObject *const *), Py_ssize_t arrays>
PyObject *called(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != arrays) return PyErr_Format(PyExc_TypeError, "%zd arrays are needed, not %zd", arrays, number);
    return PyBool_FromLong(work(arguments));
}

template <bool (*work)(PyObject *const *), Py_ssize_t arrays>
PyCFunction method() {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(called<work, arrays>));
}

PyMethodDef methods[] = {
    {"distances", method<distances, 10>(), METH_FASTCALL,
     "distances(counts, starts, widths, rows, upto, single, behind, most, values, upper): fill the last two."},
    {"moments", method<moments, 5>(), METH_FASTCALL, "moments(counts, starts, widths, places, sums): fill the last."},
    {"pearson", method<pearson, 5>(), METH_FASTCALL, "pearson(window, reference, starts, sums, dof): fill the last two."},
    {"runs", method<runs, 3>(), METH_FASTCALL, "runs(counts, starts, sums): fill the last."},
    {"shares", method<shares, 6>(), METH_FASTCALL,
     "shares(window, reference, starts, ratios, apart, expected): fill the last three."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_sums", "Sums over the cells of a window.", 0, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__sums() { return PyModuleDef_Init(&module_definition); }
