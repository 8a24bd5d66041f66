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
