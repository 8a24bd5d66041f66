# Flags that every target of the house shares.
add_library(seawall_options INTERFACE)
target_compile_options(seawall_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Wcast-qual -Woverloaded-virtual -Wnull-dereference -Wformat=2 -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 sees null pointers and overruns in inlined standard library code that are not there.
  target_compile_options(seawall_options INTERFACE -Wno-null-dereference -Wno-restrict -Wno-stringop-overflow
    -Wno-stringop-overread -Wno-array-bounds -Wno-maybe-uninitialized -Wno-missing-field-initializers)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(seawall_options INTERFACE -Wno-missing-field-initializers)
endif()
target_compile_definitions(seawall_options INTERFACE SEAWALL_VERSION="${PROJECT_VERSION}")
target_include_directories(seawall_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
if(SEAWALL_SANITIZE)
  target_compile_options(seawall_options INTERFACE -fsanitize=${SEAWALL_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(seawall_options INTERFACE -fsanitize=${SEAWALL_SANITIZE})
endif()
if(SEAWALL_FUZZ)
  # The parsers themselves are instrumented, not just the target's main file: else the fuzzer works blind.
  target_compile_options(seawall_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The headers that most files include are compiled once, and the tests' own code without optimization: a third of the
# time of a build. The tidy preset goes without, so that a file which leans on the prelude is found.
if(SEAWALL_PRELUDE)
  file(WRITE ${CMAKE_BINARY_DIR}/prelude.cc "")
  foreach(name prelude test_prelude)
    add_library(${name} OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/prelude.cc)
    target_link_libraries(${name} PRIVATE seawall_options fmt::fmt)
    target_precompile_headers(${name} PRIVATE <algorithm> <array> <atomic> <chrono> <cstdint> <cstring> <filesystem>
      <functional> <map> <memory> <mutex> <optional> <set> <span> <stop_token> <string> <string_view> <utility> <vector>
      <fmt/format.h>)
  endforeach()
  if(SEAWALL_TESTS)
    target_link_libraries(test_prelude PRIVATE GTest::gmock)
    target_compile_options(test_prelude PRIVATE -O0)
    target_precompile_headers(test_prelude PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
  endif()
endif()
