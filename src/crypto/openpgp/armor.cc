#include "crypto/openpgp/armor.hh"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/text.hh"
#include "crypto/key_text.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr std::string_view begin_mark = "-----BEGIN PGP ";
constexpr std::string_view end_mark = "-----END PGP ";

/// The next line without its end; nothing when the text is used up.
std::optional<std::string_view> take_line(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = seawall::trim(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::uint32_t checksum(Bytes data) noexcept {
  std::uint32_t value = 0xB704CE;
  for (const std::byte byte : data) {
    value ^= std::to_integer<std::uint32_t>(byte) << 16;
    for (int i = 0; i < 8; ++i) value = (value << 1) ^ ((value & 0x800000U) != 0 ? 0x1864CFBU : 0U);
  }
  return value & 0xFFFFFF;
}

/// The lines of one block after its first line; `text` is left behind the block.
SecretBytes read_block(std::string_view& text) {
  // Headers ("Version: …") end with an empty line; some writers leave out both.
  bool in_headers = true;
  SecretBytes digits(text.size());
  std::size_t used = 0;
  std::string_view check;
  for (;;) {
    const auto line = take_line(text);
    if (!line) malformed("the ASCII armor has no end line: the key was cut");
    if (line->starts_with(end_mark)) break;
    if (in_headers && (line->empty() || line->find(": ") != std::string_view::npos || line->ends_with(':'))) continue;
    in_headers = false;
    if (line->empty()) continue;
    if (line->starts_with('=') && line->size() == 5) {
      check = line->substr(1);
      continue;
    }
    std::memcpy(digits.data() + used, line->data(), line->size());
    used += line->size();
  }
  auto packets = decode_base64(Bytes(digits.span()).first(used));
  if (!packets || packets->empty()) malformed("the ASCII armor holds no valid base64");
  if (!check.empty()) {
    const auto expected = decode_base64(bytes_of(check));
    if (!expected || Reader(expected->span()).big_endian(3) != checksum(packets->span())) {
      malformed("the ASCII armor does not match its checksum: the key is damaged");
    }
  }
  return std::move(*packets);
}

SecretBytes joined(const SecretBytes& a, const SecretBytes& b) {
  SecretBytes both(a.size() + b.size());
  if (!a.empty()) std::memcpy(both.data(), a.data(), a.size());
  std::memcpy(both.data() + a.size(), b.data(), b.size());
  return both;
}

}  // namespace

SecretBytes dearmor(Bytes data) {
  if (!data.empty() && (data.front() & std::byte{0x80}) != std::byte{0}) return SecretBytes::copy_of(data);
  std::string_view text = text_of(data);
  SecretBytes packets;
  for (;;) {
    const std::size_t begin = text.find(begin_mark);
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    take_line(text);
    packets = joined(packets, read_block(text));
  }
  if (packets.empty()) malformed("it holds no OpenPGP key, neither armored nor binary");
  return packets;
}

}  // namespace seawall::crypto::openpgp
