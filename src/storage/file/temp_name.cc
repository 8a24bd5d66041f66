#include "storage/file/temp_name.hh"

#include <fmt/format.h>

#include <cstdint>
#include <random>

#include "base/time_text.hh"

namespace seawall::storage {

std::string temp_name(std::string_view name, Time now) {
  std::random_device random;
  const std::uint64_t nonce = (std::uint64_t{random()} << 32) | random();
  return fmt::format("{}.tmp.{}-{:016x}", name, compact_utc(now), nonce);
}

bool is_temp_name(std::string_view key) noexcept {
  constexpr std::string_view form = ".tmp.ddddddddTddddddZ-xxxxxxxxxxxxxxxx";  // d: digit, x: hex digit
  if (key.size() <= form.size()) return false;
  const std::size_t start = key.size() - form.size();
  if (key[start - 1] == '/') return false;
  const std::string_view tail = key.substr(start);
  for (std::size_t i = 0; i < form.size(); ++i) {
    const char c = tail[i];
    const bool digit = c >= '0' && c <= '9';
    const bool fits = form[i] == 'd' ? digit : form[i] == 'x' ? digit || (c >= 'a' && c <= 'f') : c == form[i];
    if (!fits) return false;
  }
  return true;
}

}  // namespace seawall::storage
