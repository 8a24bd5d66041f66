#include "crypto/crypto.hh"

#include <fmt/format.h>

#include <array>

#include "base/error.hh"
#include "crypto/plain.hh"

namespace seawall::crypto {
namespace {

struct Sign {
  std::string_view begin;
  std::string_view name;
};

constexpr std::array<Sign, 6> plain_signs{{
    {{"\x04\x22\x4d\x18", 4}, "lz4"},
    {{"\x28\xb5\x2f\xfd", 4}, "zstd"},
    {{"\x1f\x8b\x08", 3}, "gzip"},
    {{"\x5d\x00\x00\x80\x00\xff\xff\xff\xff", 9}, "lzma"},
    {{"\x89LZO", 4}, "lzo"},
    {{"\xfd"
      "7zXZ",
      5},
     "xz"},
}};

constexpr std::array<Sign, 2> envelope_signs{{
    {"yckms\x01", "Yandex KMS"},
    {"envelope-yc-kms\x01", "OpenPGP with a key from Yandex KMS"},
}};

bool is_openpgp(std::string_view head) noexcept {
  // A public-key encrypted session key of version 3, in the old format with one or two bytes of length, or in the new.
  if (head.size() < 4) return false;
  const auto at = [head](std::size_t i) { return static_cast<unsigned char>(head[i]); };
  if (at(0) == 0x84) return at(2) == 3;
  if (at(0) == 0x85) return at(3) == 3;
  if (at(0) == 0xC1) return at(1) < 192 ? at(2) == 3 : at(1) < 224 && at(3) == 3;
  return false;
}

std::string_view find_sign(std::span<const Sign> signs, std::string_view head) noexcept {
  for (const Sign& sign : signs) {
    if (head.starts_with(sign.begin)) return sign.name;
  }
  return {};
}

}  // namespace

std::string_view seems_encrypted(Bytes head) noexcept {
  const std::string_view text = text_of(head);
  if (is_openpgp(text)) return "OpenPGP";
  return find_sign(envelope_signs, text);
}

std::string_view seems_plain(Bytes head) noexcept {
  const std::string_view text = text_of(head);
  const std::string_view found = find_sign(plain_signs, text);
  if (!found.empty()) return found;
  // The magic number of a WAL page, then the flags of the first page of a segment.
  if (text.size() >= 4 && static_cast<unsigned char>(text[1]) == 0xD1 && text[2] <= 7 && text[3] == 0) {
    return "a WAL segment";
  }
  constexpr std::size_t tar_magic_at = 257;
  if (text.size() > tar_magic_at && text.substr(tar_magic_at).starts_with("ustar")) return "a tar archive";
  return {};
}

void refuse_unencrypted(std::string_view name, std::string_view setting, Bytes head) {
  if (const std::string_view plain = seems_plain(head); !plain.empty()) {
    throw Error(Errc::config, fmt::format("{}: object is not encrypted (it looks like {}), but {} asks for decryption: "
                                          "it was stored without that setting",
                                          name, plain, setting));
  }
}

void refuse_plain(std::string_view name, std::string_view setting, Bytes head) {
  refuse_unencrypted(name, setting, head);
  if (const std::string_view other = seems_encrypted(head); !other.empty()) {
    throw Error(Errc::config, fmt::format("{}: object is encrypted with {}, but {} is set", name, other, setting));
  }
}

}  // namespace seawall::crypto
