#include "storage/s3/checksums.hh"

// As in sha256.hh: EVP would cost every process its tables of algorithms.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <fmt/format.h>
#include <openssl/md5.h>

#include <array>

#include "base/text.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(Bytes data) {
  std::string text;
  text.reserve((data.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < data.size(); i += 3) {
    const std::size_t count = data.size() - i < 3 ? data.size() - i : 3;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8U | (k < count ? std::to_integer<std::uint32_t>(data[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) text += k <= count ? alphabet[group >> (18 - 6 * k) & 63U] : '=';
  }
  return text;
}

std::string md5(Bytes data) {
  std::array<unsigned char, MD5_DIGEST_LENGTH> hash{};
  MD5_CTX context;
  MD5_Init(&context);
  MD5_Update(&context, data.data(), data.size());
  MD5_Final(hash.data(), &context);
  return {hash.begin(), hash.end()};
}

std::string crc32c_text(std::uint32_t sum) {
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>(sum >> shift & 0xFFU);
  return base64(bytes_of(bytes));
}

std::string crc32c_bytes(std::string_view text) {
  if (text.size() != 8 || !text.ends_with("==")) return {};
  std::uint64_t group = 0;
  for (const char c : text.substr(0, 6)) {
    const std::size_t value = alphabet.find(c);
    if (value == std::string_view::npos) return {};
    group = group << 6U | value;
  }
  group >>= 4U;
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>(group >> shift & 0xFFU);
  return bytes;
}

void PartsTag::add(std::string_view etag) {
  ++count_;
  for (std::size_t i = 0; etag.size() == 32 && i < 32; i += 2) {
    const auto byte = parse_int<unsigned>(etag.substr(i, 2), 16);
    opaque_ = opaque_ || !byte;
    sums_ += static_cast<char>(byte.value_or(0));
  }
  opaque_ = opaque_ || etag.size() != 32;
}

std::string PartsTag::value() const {
  if (opaque_ || count_ == 0) return {};
  std::string text;
  for (const char byte : md5(bytes_of(sums_))) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return fmt::format("{}-{}", text, count_);
}

}  // namespace seawall::storage::s3
