// A block of one column's values for a reference's first pass. detectors/sketches/blocks.py says the same in numpy, operation
// by operation. The interpreter lock is released: columns are digested side by side, and a block takes tens of microseconds.
#include "_view.hpp"

#include "_blocks.hpp"

#include <memory>
#include <new>

namespace {

bool is_row(const View &view, const char *letters, Py_ssize_t width) {
    return view.holds(letters, width, 1) && view.aligned(static_cast<std::size_t>(width));
}

bool is_floats(const View &view) { return is_row(view, "d", sizeof(double)); }

std::size_t length(const View &view) { return static_cast<std::size_t>(view.buffer.shape[0]); }

PyObject *not_these(const char *what) { return PyErr_Format(PyExc_ValueError, "the %s do not fit", what); }

// fill(values, start, held, size): (start, size) after values from `start` on were taken.
PyObject *fill(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 4) return PyErr_Format(PyExc_TypeError, "fill takes 4 arguments, not %zd", number);
    const Py_ssize_t start = PyLong_AsSsize_t(arguments[1]), before = PyLong_AsSsize_t(arguments[3]);
    if (PyErr_Occurred()) return nullptr;
    const View values(arguments[0], PyBUF_RECORDS_RO), held(arguments[2], PyBUF_CONTIG | PyBUF_FORMAT);
    if (!values.holds("d", sizeof(double), 1) || !is_floats(held) || start < 0 || start > values.buffer.shape[0] ||
        before < 0 || before > held.buffer.shape[0])
        return not_these("values");
    const Py_ssize_t stride = values.buffer.strides[0];
    const char *const first = static_cast<const char *>(values.buffer.buf) + start * stride;
    const auto rows = static_cast<std::size_t>(values.buffer.shape[0] - start);
    auto *const into = static_cast<double *>(held.buffer.buf);
    auto size = static_cast<std::size_t>(before);
    std::size_t taken = 0;
    {
        const driftd::Unlocked unlocked;
        const auto read = [=](std::size_t row) { return at<double>(first + static_cast<Py_ssize_t>(row) * stride); };
        taken = driftd::fill(rows, read, into, length(held), size);
    }
    return Py_BuildValue("nn", start + static_cast<Py_ssize_t>(taken), static_cast<Py_ssize_t>(size));
}

// moments(block, room): (mean, std, least, most).
PyObject *moments(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 2) return PyErr_Format(PyExc_TypeError, "moments takes 2 arguments, not %zd", number);
    const View block(arguments[0], PyBUF_CONTIG_RO | PyBUF_FORMAT), room(arguments[1], PyBUF_CONTIG | PyBUF_FORMAT);
    if (!is_floats(block) || !is_floats(room) || length(block) == 0 || length(room) < length(block))
        return not_these("values");
    driftd::Moments found;
    {
        const driftd::Unlocked unlocked;
        found = driftd::moments_of(static_cast<const double *>(block.buffer.buf), length(block),
                                   static_cast<double *>(room.buffer.buf));
    }
    return Py_BuildValue("dddd", found.mean, found.std, found.extremes.least, found.extremes.most);
}

// kept(draws, rank, sample, places): how many of the places were filled.
PyObject *kept(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 4) return PyErr_Format(PyExc_TypeError, "kept takes 4 arguments, not %zd", number);
    const double rank = PyFloat_AsDouble(arguments[1]), sample = PyFloat_AsDouble(arguments[2]);
    if (PyErr_Occurred()) return nullptr;
    const View draws(arguments[0], PyBUF_CONTIG_RO | PyBUF_FORMAT), places(arguments[3], PyBUF_CONTIG | PyBUF_FORMAT);
    if (!is_floats(draws) || !is_row(places, "lq", sizeof(std::int64_t)) || length(places) < length(draws))
        return not_these("draws");
    std::size_t count = 0;
    {
        const driftd::Unlocked unlocked;
        count = driftd::kept_of(static_cast<const double *>(draws.buffer.buf), length(draws), rank, sample,
                                static_cast<std::int64_t *>(places.buffer.buf));
    }
    return PyLong_FromSize_t(count);
}

// unknown(block, known, found): how many values of the block are not known, once each; -1 where they do not fit in.
PyObject *unknown(PyObject *, PyObject *const *arguments, Py_ssize_t number) {
    if (number != 3) return PyErr_Format(PyExc_TypeError, "unknown takes 3 arguments, not %zd", number);
    const View block(arguments[0], PyBUF_CONTIG_RO | PyBUF_FORMAT), known(arguments[1], PyBUF_CONTIG_RO | PyBUF_FORMAT);
    const View found(arguments[2], PyBUF_CONTIG | PyBUF_FORMAT);
    if (!is_floats(block) || !is_floats(known) || !is_floats(found) ||
        length(known) + length(found) >= driftd::Unknown::MOST)
        return not_these("values");
    const auto *const values = static_cast<const double *>(block.buffer.buf);
    const auto *const those = static_cast<const double *>(known.buffer.buf);
    auto *const into = static_cast<double *>(found.buffer.buf);
    Py_ssize_t count = 0;
    {
        const driftd::Unlocked unlocked;
        driftd::Unknown table;
        for (std::size_t at = 0; at < length(known); ++at) table.take(those[at]);
        for (std::size_t at = 0; at < length(block) && count >= 0; ++at) {
            if (!table.take(values[at])) continue;
            if (count == found.buffer.shape[0]) count = -1;
            else into[count++] = values[at];
        }
    }
    return PyLong_FromSsize_t(count);
}

template <typename Function>
void *slot(Function function) {
    return reinterpret_cast<void *>(function);
}

PyMethodDef module_methods[] = {
    {"fill", reinterpret_cast<PyCFunction>(slot(fill)), METH_FASTCALL,
     "fill(values, start, held, size): copy finite values; (start, size) after that."},
    {"moments", reinterpret_cast<PyCFunction>(slot(moments)), METH_FASTCALL,
     "moments(block, room): mean, standard deviation, least and most."},
    {"kept", reinterpret_cast<PyCFunction>(slot(kept)), METH_FASTCALL,
     "kept(draws, rank, sample, places): where a reservoir takes a value; how many."},
    {"unknown", reinterpret_cast<PyCFunction>(slot(unknown)), METH_FASTCALL,
     "unknown(block, known, found): the values that are not known; how many, -1 where there is no room for them."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot module_slots[] = {{0, nullptr}};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_digest", "Blocks of a column's values.", 0, module_methods, module_slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__digest() { return PyModuleDef_Init(&module_definition); }
