# harden(TARGET): what makes faults in memory end in an abort rather than in an exploit, where it costs nothing that
# can be measured. binding.gyp has the same. Not under sanitizers, which look closer.
include(CheckCXXCompilerFlag)

set(RND1_HARDENING)
if(NOT RND1_SANITIZE AND NOT RND1_FUZZ)
  set(CMAKE_REQUIRED_FLAGS -Werror)
  # The last two: not on every processor.
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "RND1_HAS${flag}" known)
    check_cxx_compiler_flag(${flag} ${known})
    if(${known})
      list(APPEND RND1_HARDENING ${flag})
    endif()
  endforeach()
  unset(CMAKE_REQUIRED_FLAGS)
  if(NOT APPLE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # First undone: some compilers define it for themselves.
    list(APPEND RND1_HARDENING -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()
# Of products and the like: loops over arrays on the stack, which the checks of stacks make slower by a tenth.
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
    # nodelete: the handler for SIGBUS (native/io/mapping_guard.h) may be called by one that came after it.
    target_link_options(${target} PRIVATE "LINKER:-z,relro,-z,now,-z,noexecstack,-z,nodelete")
  endif()
endfunction()
