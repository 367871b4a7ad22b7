# harden(TARGET): flags that turn memory errors into aborts instead of exploits, at no measurable cost. binding.gyp
# has the same. Not with sanitizers, which check more.
include(CheckCXXCompilerFlag)

set(RND1_HARDENING)
if(NOT RND1_SANITIZE AND NOT RND1_FUZZ)
  set(CMAKE_REQUIRED_FLAGS -Werror)
  # The last two are not available on every processor.
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "RND1_HAS${flag}" known)
    check_cxx_compiler_flag(${flag} ${known})
    if(${known})
      list(APPEND RND1_HARDENING ${flag})
    endif()
  endforeach()
  unset(CMAKE_REQUIRED_FLAGS)
  if(NOT APPLE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # -U first: some compilers predefine it.
    list(APPEND RND1_HARDENING -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()
# For kernels: stack checks slow down their loops over arrays on the stack by a tenth.
set(RND1_KERNEL_SOFTENING)
foreach(flag -fno-stack-protector -fno-stack-clash-protection)
  string(REPLACE "-fno-" "-f" counterpart ${flag})
  if(RND1_HARDENING MATCHES "${counterpart}")
    list(APPEND RND1_KERNEL_SOFTENING ${flag})
  endif()
endforeach()
string(REPLACE ";" "," RND1_HOST_HARDENING "${RND1_HARDENING}")

function(harden target)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${RND1_HARDENING}>")
  if(RND1_HARDENING)
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${RND1_HOST_HARDENING}>")
  endif()
  if(NOT APPLE)
    # nodelete: a later SIGBUS handler may call that of native/io/mapping_guard.h.
    target_link_options(${target} PRIVATE "LINKER:-z,relro,-z,now,-z,noexecstack,-z,nodelete")
  endif()
endfunction()
