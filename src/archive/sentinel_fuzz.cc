#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "archive/sentinel.hh"
#include "base/error.hh"

namespace {

using namespace seawall;

/// What could be read prints to something that reads and prints the same again.
template <class Parse, class Print>
void check(std::string_view text, Parse parse, Print print) {
  std::string once;
  try {
    once = print(parse(text));
  } catch (const Error&) {
    return;
  }
  if (print(parse(once)) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(
      text, [](std::string_view t) { return archive::parse_sentinel(t, "fuzz"); }, archive::print_sentinel);
  check(
      text, [](std::string_view t) { return archive::parse_metadata(t, "fuzz"); }, archive::print_metadata);
  check(
      text, [](std::string_view t) { return archive::parse_tablespace_spec(t, "fuzz"); },
      archive::print_tablespace_spec);
  check(text, archive::canonical_user_data, [](const std::string& t) { return t; });
  return 0;
}
