#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hh"
#include "storage/s3/profile_file.hh"

/// Any bytes are a file or an Error; a key always has a line of the text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& [section, values] : seawall::storage::s3::parse_ini(text, "fuzz")) {
      if (section.empty()) std::abort();
      for (const auto& [key, value] : values) {
        if (key.empty() || value.line == 0 || value.line > size || value.text.find('\n') != std::string::npos)
          std::abort();
      }
    }
  } catch (const seawall::Error&) {
    return 0;
  }
  return 0;
}
