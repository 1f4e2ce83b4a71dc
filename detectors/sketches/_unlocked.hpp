// Letting other threads of Python run meanwhile; for all compiled parts.
#pragma once

#include <Python.h>

#include <unistd.h>

namespace driftd {

// The interpreter lock is let go of as long as this is there, if so wanted. No object of Python may be touched; arrays are only lent.
//
// A thread that wants it back while the interpreter ends is ended by unwinding its stack, and a destructor lets nothing through:
// the process would abort. It is kept here instead until the process is gone, as Python 3.14 does.
class Unlocked {
 public:
  explicit Unlocked(bool wanted = true) : state_(wanted ? PyEval_SaveThread() : nullptr) {}
  ~Unlocked() {
    if (state_ == nullptr) return;
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) pause();
    }
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace driftd
