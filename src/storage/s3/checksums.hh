#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hh"

namespace seawall::storage::s3 {

/// As headers and XML want them.
std::string base64(Bytes data);
/// 16 raw bytes; asked for by S3 itself, trusted for nothing.
std::string md5(Bytes data);
/// A CRC-32C as S3 writes it: big-endian, in base64.
std::string crc32c_text(std::uint32_t sum);
/// Reads it back; nothing on anything else.
std::string crc32c_bytes(std::string_view text);

/// The ETag that S3 gives an object made of parts with these ETags: "<md5 of their md5s>-<count>"; empty if one of them
/// is no MD5.
class PartsTag {
 public:
  void add(std::string_view etag);
  std::string value() const;

 private:
  std::string sums_;
  unsigned count_ = 0;
  bool opaque_ = false;
};

}  // namespace seawall::storage::s3
