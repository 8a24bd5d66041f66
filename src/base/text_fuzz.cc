#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/text.hh"
#include "base/time_text.hh"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto time = seawall::parse_rfc3339(text)) {
    require(seawall::parse_rfc3339(seawall::rfc3339_nano(*time)) == time);
  }
  if (const auto duration = seawall::parse_duration(text)) {
    require(seawall::parse_duration(seawall::duration_text(*duration)) == duration);
  }
  for (const char c : seawall::json_string(text, true)) require(c >= ' ' || c < 0);
  const std::size_t middle = text.find('\n');
  if (middle != std::string_view::npos) {
    const auto match = seawall::glob_match(text.substr(0, middle), text.substr(middle + 1));
    // Whether a pattern is malformed does not depend on the name.
    require(match.has_value() == seawall::glob_match(text.substr(0, middle), "").has_value());
  }
  return 0;
}
