# embed_manuals(TARGET a.md sub/b-c.md …)
#
# Gives the sources of TARGET `#include "manuals/a.hh"` with `seawall::manuals::a`, a std::string_view of the file's
# text. Names are the file's, with '_' for '-'. An edit of the .md builds what includes it again; the target `manuals`
# makes the headers alone.
#
# This file is also the script that writes one such header: cmake -DMANUAL=x.md -DHEADER=x.hh -DNAME=x -P embed.cmake
if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  file(READ "${MANUAL}" text)
  # What would end the raw string is cut in two, each half in a literal of its own.
  string(REPLACE ")manual\"" ")man)manual\" R\"manual(ual\"" text "${text}")
  file(WRITE "${HEADER}" "// Made from ${MANUAL}.
#pragma once

#include <string_view>

namespace seawall::manuals {

inline constexpr std::string_view ${NAME} = R\"manual(${text})manual\";

}  // namespace seawall::manuals
")
  return()
endif()

function(embed_manuals target)
  set(script "${CMAKE_CURRENT_FUNCTION_LIST_FILE}")
  set(directory "${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded")
  foreach(manual ${ARGN})
    get_filename_component(path "${manual}" ABSOLUTE)
    get_filename_component(stem "${manual}" NAME_WE)
    string(REPLACE "-" "_" name "${stem}")
    set(header "${directory}/manuals/${name}.hh")
    add_custom_command(OUTPUT "${header}"
      COMMAND "${CMAKE_COMMAND}" "-DMANUAL=${path}" "-DHEADER=${header}" "-DNAME=${name}" -P "${script}"
      DEPENDS "${path}" "${script}"
      COMMENT "Embedding ${manual}"
      VERBATIM)
    target_sources(${target} PRIVATE "${header}")
    list(APPEND headers "${header}")
  endforeach()
  add_custom_target(${target}_manuals DEPENDS ${headers})
  if(NOT TARGET manuals)
    add_custom_target(manuals)
  endif()
  add_dependencies(manuals ${target}_manuals)
  target_include_directories(${target} PRIVATE "${directory}")
endfunction()
