#include "crypto/key_text.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"

namespace seawall::crypto {
namespace {

constexpr std::size_t largest_key_file = 16 << 20;
constexpr std::size_t smallest_read = 4096;

std::optional<unsigned> base64_digit(std::byte byte) noexcept {
  const char c = std::to_integer<char>(byte);
  if (c >= 'A' && c <= 'Z') return static_cast<unsigned>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<unsigned>(c - 'a') + 26;
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0') + 52;
  if (c == '+') return 62U;
  if (c == '/') return 63U;
  return std::nullopt;
}

std::optional<unsigned> hex_digit(std::byte byte) noexcept {
  const char c = std::to_integer<char>(byte);
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

/// By read(2), so that a key may also come through a pipe, as programs that guard secrets hand them over.
SecretBytes read_file(const std::string& path) {
  const Fd file = open_file(path, O_RDONLY);
  const auto size = static_cast<std::size_t>(stat_of(file, path).st_size);
  SecretBytes text(std::min(size, largest_key_file) + smallest_read);
  std::size_t used = 0;
  for (;;) {
    const ssize_t n = ::read(file.get(), text.data() + used, text.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error(errno, path);
    used += static_cast<std::size_t>(n);
    if (n == 0) break;
    if (used > largest_key_file) throw Error(Errc::config, fmt::format("{} is too large for a key", path));
    if (used < text.size()) continue;
    SecretBytes larger(2 * used);
    std::memcpy(larger.data(), text.data(), used);
    text = std::move(larger);
  }
  text.shrink(used);
  return text;
}

}  // namespace

SecretBytes read_key(const KeySource& source) {
  if (!source.text.empty()) return SecretBytes::copy_of(bytes_of(source.text));
  try {
    SecretBytes text = read_file(source.path);
    if (text.empty()) throw Error(Errc::config, fmt::format("{} is empty", source.path));
    return text;
  } catch (const Error& error) {
    throw Error(error.code() == Errc::denied ? Errc::denied : Errc::config,
                fmt::format("the key named by {} cannot be read: {}", source.setting, error.what()));
  }
}

Bytes trim(Bytes text) noexcept {
  const std::string_view inner = seawall::trim(text_of(text));
  return bytes_of(inner);
}

std::optional<SecretBytes> decode_base64(Bytes text) {
  SecretBytes out(text.size() / 4 * 3 + 3);
  std::size_t used = 0, digits = 0, padding = 0;
  unsigned group = 0;
  for (const std::byte byte : text) {
    if (byte == std::byte{'\n'} || byte == std::byte{'\r'}) continue;
    if (byte == std::byte{'='}) {
      if (++padding + digits > 4 || digits < 2) return std::nullopt;
      continue;
    }
    const auto digit = base64_digit(byte);
    if (!digit || padding > 0) return std::nullopt;
    group = group << 6 | *digit;
    if (++digits < 4) continue;
    for (const int shift : {16, 8, 0}) out.data()[used++] = static_cast<std::byte>(group >> shift & 0xFF);
    group = 0;
    digits = 0;
  }
  if (digits > 0) {
    if (digits + padding != 4) return std::nullopt;
    group <<= 6 * (4 - digits);
    out.data()[used++] = static_cast<std::byte>(group >> 16 & 0xFF);
    if (digits == 3) out.data()[used++] = static_cast<std::byte>(group >> 8 & 0xFF);
  }
  out.shrink(used);
  return out;
}

std::optional<SecretBytes> decode_hex(Bytes text) {
  if (text.size() % 2 != 0) return std::nullopt;
  SecretBytes out(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = hex_digit(text[2 * i]);
    const auto low = hex_digit(text[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    out.data()[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return out;
}

}  // namespace seawall::crypto
