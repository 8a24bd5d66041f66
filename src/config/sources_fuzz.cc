#include <cstddef>
#include <cstdint>

#include "base/error.hh"
#include "config/detail/settings_text.hh"

/// The first byte chooses the format. Readers may refuse with Errc::config; nothing else may leave them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace seawall::config::detail;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    switch (*data % 3) {
      case 0:
        read_json(text, "fuzz.json");
        break;
      case 1:
        read_yaml(text, "fuzz.yaml");
        break;
      default:
        read_toml(text, "fuzz.toml");
        break;
    }
  } catch (const seawall::Error& error) {
    if (error.code() != seawall::Errc::config) throw;
  }
  return 0;
}
