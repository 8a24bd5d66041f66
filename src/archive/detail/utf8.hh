#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace seawall::archive {

/// How many bytes at the front of `text` are UTF-8 (RFC 3629: shortest forms, no surrogates).
std::size_t valid_utf8_bytes(std::string_view text) noexcept;
inline bool is_utf8(std::string_view text) noexcept { return valid_utf8_bytes(text) == text.size(); }
/// The text with every byte that belongs to no character replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace seawall::archive
