#include <cstdint>

#include "archive/detail/utf8.hh"

namespace seawall::archive {
namespace {

/// Bytes of the character at the front of `text` (not empty); 0 if there is none.
std::size_t character_bytes(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const auto continues = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xBF) {
    return text.size() > i && byte(i) >= low && byte(i) <= high;
  };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  // The second byte's narrower ranges shut out longer spellings, surrogates and what lies beyond U+10FFFF.
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = continues(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = continues(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::size_t valid_utf8_bytes(std::string_view text) noexcept {
  std::size_t valid = 0;
  while (valid < text.size()) {
    const std::size_t n = character_bytes(text.substr(valid));
    if (n == 0) break;
    valid += n;
  }
  return valid;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  for (;;) {
    const std::size_t valid = valid_utf8_bytes(text);
    result.append(text.substr(0, valid));
    if (valid == text.size()) return result;
    result.append("\xEF\xBF\xBD");
    text.remove_prefix(valid + 1);
  }
}

}  // namespace seawall::archive
