#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

namespace seawall::archive {

struct JsonMember;

/// A small JSON document in memory: sentinels and user data. Numbers keep their spelling, so that 64-bit values stay
/// exact; objects keep their order and duplicates.
struct Json {
  enum class Kind { null, boolean, number, text, array, object };
  Kind kind = Kind::null;
  bool truth = false;
  std::string text;  ///< of a number as written, of a string decoded and valid UTF-8
  std::vector<Json> items;
  std::vector<JsonMember> members;
};

struct JsonMember {
  std::string name;
  Json value;
};

/// Throws Error(code) naming `origin` and the byte where it stops being JSON. Deeper nesting than 1000 is refused.
Json parse_json(std::string_view text, Errc code, std::string_view origin);

/// As Go's encoder prints a decoded document: keys sorted, the last of equal ones wins, numbers as doubles,
/// HTML escapes. Throws Error(code) naming `origin` for a number beyond the range of a double.
std::string print_canonical_json(const Json& value, Errc code, std::string_view origin);

}  // namespace seawall::archive
