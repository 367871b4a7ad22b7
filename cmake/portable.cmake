# rnd1_portable: the addon of the platform packages, from the same objects as rnd1. It runs on older systems than the
# one that built it: libstdc++ is linked statically (not libgcc_s: the unwinder must be the process's), and functions
# that newer versions of glibc replaced are linked by their first version. It exports only the symbols that Node looks
# up.
add_library(rnd1_portable SHARED EXCLUDE_FROM_ALL $<TARGET_OBJECTS:rnd1>)
target_link_libraries(rnd1_portable PRIVATE rnd1_core rnd1_cuda rnd1_core ${CMAKE_JS_LIB})
set_target_properties(rnd1_portable PROPERTIES PREFIX "" OUTPUT_NAME rnd1 SUFFIX ".node"
                      LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/portable"
                      LIBRARY_OUTPUT_DIRECTORY_RELEASE "${CMAKE_BINARY_DIR}/portable")
harden(rnd1_portable)
if(APPLE)
  target_link_options(rnd1_portable PRIVATE "LINKER:-exported_symbol,_napi_register_module_v1"
                      "LINKER:-exported_symbol,_node_api_module_get_api_version_v1" "LINKER:-dead_strip" "LINKER:-x")
else()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/portable/glibc.cc)
  file(READ ${CMAKE_CURRENT_LIST_DIR}/portable/glibc.cc RND1_GLIBC_SOURCE)
  string(REGEX MATCHALL "FORWARD\\([a-z_]+, |__wrap_fstat" RND1_GLIBC_WRAPPERS "${RND1_GLIBC_SOURCE}")
  list(TRANSFORM RND1_GLIBC_WRAPPERS REPLACE "^FORWARD.|^__wrap_|, $" "")
  list(TRANSFORM RND1_GLIBC_WRAPPERS PREPEND "LINKER:--wrap=")
  target_sources(rnd1_portable PRIVATE ${CMAKE_CURRENT_LIST_DIR}/portable/glibc.cc)
  target_link_libraries(rnd1_portable PRIVATE rnd1_flags)
  target_link_options(rnd1_portable PRIVATE -static-libstdc++ ${RND1_GLIBC_WRAPPERS} "LINKER:--gc-sections"
                      "LINKER:--strip-all" "LINKER:--version-script=${CMAKE_CURRENT_LIST_DIR}/portable/exports.map")
  # Libraries of the forwarded functions before 2.34; since then they are empty, but still exist.
  target_link_options(rnd1_portable PRIVATE
    "LINKER:--push-state,--no-as-needed,-l:libpthread.so.0,-l:libdl.so.2,-l:librt.so.1,--pop-state")
  set_property(TARGET rnd1_portable APPEND PROPERTY LINK_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/portable/exports.map)
endif()
