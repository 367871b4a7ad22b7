#pragma once

#include <csetjmp>

namespace sim {

// Points of execution that fibers come back to. The compiler's own pair of jumps keeps three registers, the C
// library's all of them, and looks for handlers of cancelled threads: on x86-64 the former halves the time of
// the tests.
#if defined(__x86_64__)
using Context = void* [5];
#define SIM_MARK(context) __builtin_setjmp(context)
/** In a function of its own: the two must not meet in one. */
[[noreturn, gnu::noinline]] inline void jump(Context& context) { __builtin_longjmp(context, 1); }
#else
using Context = jmp_buf;
#define SIM_MARK(context) _setjmp(context)
[[noreturn]] inline void jump(Context& context) { _longjmp(context, 1); }
#endif

}  // namespace sim
