# The CUDA backend: machine code for sm_80, sm_89, sm_90a, sm_100a and sm_120a, and generic PTX of compute_80 for others.
# RND1_CUDA_ARCHITECTURES=native builds for this machine's GPU alone.
set(RND1_CUDA_ARCHITECTURES "80;89-real;90a-real;100a-real;120a-real" CACHE STRING "As CMAKE_CUDA_ARCHITECTURES")
set(CMAKE_CUDA_ARCHITECTURES OFF)
enable_language(CUDA)
# CMake 3.25 does not know nvcc's option for C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR "RND1_CUDA needs CUDA 13; ${CMAKE_CUDA_COMPILER} is ${CMAKE_CUDA_COMPILER_VERSION}")
endif()
find_package(CUDAToolkit REQUIRED)

file(GLOB RND1_CUDA_SOURCES CONFIGURE_DEPENDS native/backend/cuda/*.cu native/backend/cuda/*.cc
     native/backend/cuda/training/*.cu native/backend/cuda/training/*.cc)
list(FILTER RND1_CUDA_SOURCES EXCLUDE REGEX "unavailable\\.cc$")
add_library(rnd1_cuda STATIC ${RND1_CUDA_SOURCES})
# Set on the target: CMake ignores the variable for generic targets.
set_target_properties(rnd1_cuda PROPERTIES CUDA_ARCHITECTURES "${RND1_CUDA_ARCHITECTURES}")
target_include_directories(rnd1_cuda PRIVATE native)
target_compile_options(rnd1_cuda PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;$<$<BOOL:${RND1_WERROR}>:-Werror=all-warnings>>")
# Static, so that one addon loads with and without a driver.
set_target_properties(rnd1_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
target_link_libraries(rnd1_cuda PUBLIC CUDA::cudart_static)
