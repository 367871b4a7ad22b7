// Functions that newer versions of glibc replaced or moved, by the version that all of them have. The linker
// redirects every call of NAME, from these objects, libstdc++ and the CUDA runtime alike, to __wrap_NAME
// (--wrap, see ../portable.cmake), which jumps to the first version of NAME. Every glibc keeps that for old
// programs.
#include <sys/stat.h>

#if defined(__x86_64__)
#define FIRST_GLIBC "GLIBC_2.2.5"
#define DLMOPEN_GLIBC "GLIBC_2.3.4"
#define JUMP "jmp "
#define AT_PLT "@PLT"
constexpr int statVersion = 1;
#elif defined(__aarch64__)
#define FIRST_GLIBC "GLIBC_2.17"
#define DLMOPEN_GLIBC FIRST_GLIBC
#define JUMP "b "
#define AT_PLT ""
constexpr int statVersion = 0;
#endif

/** Defines __wrap_NAME, with the signature of NAME, in its own section, which is dropped if unused. */
#define FORWARD(name, version)                            \
  __asm__(".pushsection .text.__wrap_" #name              \
          ", \"ax\", %progbits\n"                         \
          ".globl __wrap_" #name                          \
          "\n"                                            \
          ".hidden __wrap_" #name                         \
          "\n"                                            \
          ".type __wrap_" #name                           \
          ", %function\n"                                 \
          "__wrap_" #name ": " JUMP "first_" #name AT_PLT \
          "\n"                                            \
          ".symver first_" #name ", " #name "@" version "\n.popsection\n")

// 2.29 removed wrappers for System V error reporting; the results are the same.
FORWARD(exp, FIRST_GLIBC);
FORWARD(log, FIRST_GLIBC);
FORWARD(pow, FIRST_GLIBC);

// 2.34 moved libpthread, libdl and librt into libc.
FORWARD(dlclose, FIRST_GLIBC);
FORWARD(dlerror, FIRST_GLIBC);
FORWARD(dlmopen, DLMOPEN_GLIBC);
FORWARD(dlopen, FIRST_GLIBC);
FORWARD(dlsym, FIRST_GLIBC);
FORWARD(dlvsym, FIRST_GLIBC);
FORWARD(pthread_condattr_setpshared, FIRST_GLIBC);
FORWARD(pthread_create, FIRST_GLIBC);
FORWARD(pthread_detach, FIRST_GLIBC);
FORWARD(pthread_getspecific, FIRST_GLIBC);
FORWARD(pthread_join, FIRST_GLIBC);
FORWARD(pthread_key_create, FIRST_GLIBC);
FORWARD(pthread_key_delete, FIRST_GLIBC);
FORWARD(pthread_kill, FIRST_GLIBC);
FORWARD(pthread_mutex_trylock, FIRST_GLIBC);
FORWARD(pthread_mutexattr_destroy, FIRST_GLIBC);
FORWARD(pthread_mutexattr_init, FIRST_GLIBC);
FORWARD(pthread_mutexattr_setpshared, FIRST_GLIBC);
FORWARD(pthread_mutexattr_settype, FIRST_GLIBC);
FORWARD(pthread_once, FIRST_GLIBC);
FORWARD(pthread_rwlock_destroy, FIRST_GLIBC);
FORWARD(pthread_rwlock_init, FIRST_GLIBC);
FORWARD(pthread_rwlock_rdlock, FIRST_GLIBC);
FORWARD(pthread_rwlock_timedrdlock, FIRST_GLIBC);
FORWARD(pthread_rwlock_timedwrlock, FIRST_GLIBC);
FORWARD(pthread_rwlock_tryrdlock, FIRST_GLIBC);
FORWARD(pthread_rwlock_trywrlock, FIRST_GLIBC);
FORWARD(pthread_rwlock_unlock, FIRST_GLIBC);
FORWARD(pthread_rwlock_wrlock, FIRST_GLIBC);
FORWARD(pthread_rwlockattr_destroy, FIRST_GLIBC);
FORWARD(pthread_rwlockattr_init, FIRST_GLIBC);
FORWARD(pthread_rwlockattr_setpshared, FIRST_GLIBC);
FORWARD(pthread_setspecific, FIRST_GLIBC);
FORWARD(pthread_spin_destroy, FIRST_GLIBC);
FORWARD(pthread_spin_init, FIRST_GLIBC);
FORWARD(pthread_spin_lock, FIRST_GLIBC);
FORWARD(pthread_spin_trylock, FIRST_GLIBC);
FORWARD(pthread_spin_unlock, FIRST_GLIBC);
FORWARD(sem_destroy, FIRST_GLIBC);
FORWARD(sem_init, FIRST_GLIBC);
FORWARD(sem_post, FIRST_GLIBC);
FORWARD(sem_timedwait, FIRST_GLIBC);
FORWARD(sem_trywait, FIRST_GLIBC);
FORWARD(sem_wait, FIRST_GLIBC);
FORWARD(shm_open, FIRST_GLIBC);
FORWARD(shm_unlink, FIRST_GLIBC);

extern "C" {

// Before 2.33 fstat was an inline function over this one.
__asm__(".symver first_fxstat, __fxstat@" FIRST_GLIBC);
int first_fxstat(int version, int descriptor, struct stat* status);
int __wrap_fstat(int descriptor, struct stat* status) {
  return first_fxstat(statVersion, descriptor, status);
}

// Since 2.32, tells libstdc++ whether it may skip atomic counting; "no" is always correct.
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

}  // extern "C"
