// The steps of _steps.hpp on numpy's arrays; what does not fit is left to numpy.
#include "../sketches/_view.hpp"
#include "_steps.hpp"

#include <initializer_list>

namespace {

using driftd::Flag;
using driftd::follow;
using driftd::ODDS;

// Numbers of one kind, contiguous: so many rows of so many.
template <typename Number>
class Table {
  public:
    Table(PyObject *object, const char *letters, int flags)
        : view_(object, flags | PyBUF_FORMAT), dimensions_(dimensions(letters)) {}
    bool holds(Py_ssize_t columns) const { return dimensions_ == 1 && view_.buffer.shape[0] == columns; }
    bool holds(Py_ssize_t rows, Py_ssize_t columns) const {
        return dimensions_ == 2 && view_.buffer.shape[0] == rows && view_.buffer.shape[1] == columns;
    }
    Py_ssize_t size() const { return dimensions_ == 1 ? view_.buffer.shape[0] : -1; }
    Number *data() const { return static_cast<Number *>(view_.buffer.buf); }
    Number &operator[](Py_ssize_t at) const { return data()[at]; }

  private:
    int dimensions(const char *letters) const {
        if (!view_.aligned(alignof(Number))) return 0;
        for (int number = 1; number <= 2; ++number)
            if (view_.holds(letters, sizeof(Number), number)) return number;
        return 0;
    }
    View view_;
    const int dimensions_;
};

struct Floats : Table<double> {
    explicit Floats(PyObject *object, int flags = PyBUF_C_CONTIGUOUS) : Table(object, "d", flags) {}
};
struct Ints : Table<std::int64_t> {
    explicit Ints(PyObject *object, int flags = PyBUF_C_CONTIGUOUS) : Table(object, "lq", flags) {}
};
struct Bools : Table<Flag> {
    explicit Bools(PyObject *object, int flags = PyBUF_C_CONTIGUOUS) : Table(object, "?", flags) {}
};
constexpr int WRITE = PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE;

PyObject *done(bool found) { return PyBool_FromLong(found); }

// side(events, rows, tolerated, usual, loud, costs, odds, dispersion, less, remembered, enough, limits, firing,
//      sums, risen, excess, warm, found, certain, start): change the four before the last three, fill these two.
PyObject *side(PyObject *, PyObject *const *given, Py_ssize_t number) {
    if (number != 20) return PyErr_Format(PyExc_TypeError, "20 arguments are needed, not %zd", number);
    const Floats events(given[0]), rows(given[1]), tolerated(given[2]), usual(given[3]), loud(given[4]), costs(given[5]),
        odds(given[6]), dispersion(given[7]), less(given[8]), remembered(given[9]), enough(given[10]), limits(given[11]);
    const Bools firing(given[12]), warm(given[16], WRITE), certain(given[18], WRITE);
    const Floats sums(given[13], WRITE), excess(given[15], WRITE), found(given[17], WRITE);
    const Ints risen(given[14], WRITE);
    const std::int64_t start = PyLong_AsLongLong(given[19]);
    if (start == -1 && PyErr_Occurred()) return nullptr;
    const Py_ssize_t size = events.size();
    for (const Floats *each : {&events, &rows, &tolerated, &usual, &loud, &dispersion, &less, &remembered, &enough, &excess})
        if (size < 0 || !each->holds(size)) return done(false);
    if (!costs.holds(ODDS, size) || !odds.holds(ODDS, 1) || !limits.holds(5) || !firing.holds(size) || !warm.holds(size) ||
        !certain.holds(size) || !sums.holds(ODDS, size) || !found.holds(4, size) || !risen.holds(ODDS, size))
        return done(false);
    follow({size, events.data(), rows.data(), tolerated.data(), usual.data(), loud.data(), costs.data(), odds.data(),
            dispersion.data(), less.data(), remembered.data(), enough.data(),
            {limits[0], limits[1], limits[2], limits[3], limits[4]}, firing.data(), sums.data(), risen.data(), excess.data(),
            warm.data(), found.data(), certain.data(), start});
    return done(true);
}

// advance(increments, values, most, limits, certain, firing, began, risen): charts [c, f] take one subgroup's increments [c, f],
// NaN where they stand still; whether any newly fires, None where the arrays do not fit.
PyObject *advance(PyObject *, PyObject *const *given, Py_ssize_t number) {
    if (number != 8) return PyErr_Format(PyExc_TypeError, "8 arrays are needed, not %zd", number);
    const Floats increments(given[0]), values(given[1], WRITE), most(given[2]), limits(given[3]);
    const Bools certain(given[4]), firing(given[5]);
    const Ints began(given[6]), risen(given[7], WRITE);
    const Py_ssize_t charts = most.size(), features = began.size();
    if (charts < 0 || features < 0 || !limits.holds(charts)) return Py_NewRef(Py_None);
    if (!increments.holds(charts, features) || !values.holds(charts, features) || !certain.holds(charts, features) ||
        !firing.holds(charts, features) || !risen.holds(charts, features))
        return Py_NewRef(Py_None);
    return done(driftd::advance({charts, features}, increments.data(), values.data(), most.data(), limits.data(), certain.data(),
                                firing.data(), began.data(), risen.data()));
}

// warn(increments, values, limits, quiet, armed, open, judged): see `Charts._warnings`; charts [c, f]. Fills the last, int64[c + 2]:
// how many features each chart judged, then how many warnings went and how many came. False where the arrays do not fit.
PyObject *warn(PyObject *, PyObject *const *given, Py_ssize_t number) {
    if (number != 7) return PyErr_Format(PyExc_TypeError, "7 arrays are needed, not %zd", number);
    const Floats increments(given[0]), values(given[1]), limits(given[2]);
    const Bools quiet(given[3]), armed(given[4], WRITE), open(given[5], WRITE);
    const Ints judged(given[6], WRITE);
    const Py_ssize_t charts = limits.size(), features = quiet.size();
    if (charts < 0 || features < 0 || !judged.holds(charts + 2) || !increments.holds(charts, features) ||
        !values.holds(charts, features) || !armed.holds(charts, features) || !open.holds(charts, features))
        return done(false);
    driftd::warn({charts, features}, increments.data(), values.data(), limits.data(), quiet.data(), armed.data(), open.data(),
                 judged.data());
    return done(true);
}

PyMethodDef methods[] = {
    {"side", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(side)), METH_FASTCALL,
     "side(events, rows, tolerated, usual, loud, costs, odds, dispersion, less, remembered, enough, limits, firing, sums, risen, "
     "excess, warm, found, certain, start): change sums, risen, excess and warm, fill found and certain."},
    {"advance", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(advance)), METH_FASTCALL,
     "advance(increments, values, most, limits, certain, firing, began, risen): change values and risen; whether any newly fires."},
    {"warn", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(warn)), METH_FASTCALL,
     "warn(increments, values, limits, quiet, armed, open, judged): change armed and open, fill the last."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_step", "One step of the charts.", 0, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__step() { return PyModuleDef_Init(&module_definition); }
