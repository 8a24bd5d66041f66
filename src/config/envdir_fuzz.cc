#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/envdir.hh"

/// Any content is a value: of one line, with no blank at its end, and no NUL, which the environment could not hold.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  const std::string value = seawall::config::envdir_value(content);
  if (value.size() > size || value.find('\0') != std::string::npos) std::abort();
  if (!value.empty() && (value.back() == ' ' || value.back() == '\t')) std::abort();
  return 0;
}
