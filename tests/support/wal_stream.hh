#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.hh"
#include "base/crc32c.hh"

namespace seawall::test {

/// Writes WAL as a server does: records that cross pages and segments, with their headers, links and checksums. Made
/// from the same facts as the reader (access/xlog_internal.h), but forwards and into memory.
class WalStream {
 public:
  WalStream(std::uint64_t first_number, std::uint64_t segment_bytes)
      : position_(first_number * segment_bytes), start_(position_), segment_bytes_(segment_bytes) {}

  std::uint32_t timeline = 1;
  std::uint64_t system_identifier = 7710409946933241964U;
  std::uint16_t magic = 0xD110;

  /// A record with `body` bytes behind its header; gives its LSN.
  std::uint64_t record(std::size_t body, std::uint8_t info = 0, std::uint8_t manager = 10) {
    open_page(0);
    const std::uint64_t lsn = position_;
    std::string bytes(24 + body, '\0');
    for (std::size_t i = 24; i < bytes.size(); ++i) bytes[i] = static_cast<char>((lsn + i * 131) >> 3);
    put(bytes, 0, static_cast<std::uint32_t>(bytes.size()));
    put(bytes, 4, std::uint32_t{731});
    put(bytes, 8, previous_);
    put(bytes, 16, info);
    put(bytes, 17, manager);
    put(bytes, 20, crc32c(bytes_of(bytes).first(20), crc32c(bytes_of(bytes).subspan(24))));
    for (std::size_t at = 0; at < bytes.size();) {
      if (at > 0) open_page(static_cast<std::uint32_t>(bytes.size() - at));
      const std::size_t n = std::min<std::size_t>(bytes.size() - at, page_bytes - position_ % page_bytes);
      append(bytes.substr(at, n), true);
      at += n;
    }
    append(std::string((8 - position_ % 8) % 8, '\0'), false);
    previous_ = lsn;
    return lsn;
  }
  /// Ends the segment with a switch record and zeros.
  void switch_segment() {
    record(0, 0x40, 0);
    fill();
  }
  /// Zeros to the end of the segment.
  void fill() { append(std::string((segment_bytes_ - position_ % segment_bytes_) % segment_bytes_, '\0'), false); }
  /// As after a crash within a record that was to continue on this page: the next page says that it is given up.
  void give_up_record(std::size_t body) {
    const std::string before = bytes_;
    const std::uint64_t kept = previous_;
    record(body);
    const std::uint64_t page = (before.size() / page_bytes + 1) * page_bytes;
    bytes_.resize(page);
    checked_.resize(page);
    position_ = start_ + page;
    previous_ = kept;
    open_page(0, 0x0008);
  }

  std::uint64_t position() const { return position_; }
  const std::string& bytes() const { return bytes_; }
  /// Of each byte: is there a check that must notice it when it changes?
  const std::vector<bool>& checked() const { return checked_; }
  std::string segment(std::size_t index) const { return bytes_.substr(index * segment_bytes_, segment_bytes_); }

 private:
  static constexpr std::uint64_t page_bytes = 8192;

  template <class T>
  static void put(std::string& text, std::size_t at, T value) {
    std::memcpy(text.data() + at, &value, sizeof value);
  }

  void append(const std::string& text, bool checked) {
    bytes_ += text;
    checked_.resize(bytes_.size(), checked);
    position_ += text.size();
  }

  void open_page(std::uint32_t remaining, std::uint16_t flags = 0) {
    if (position_ % page_bytes != 0) return;
    const bool first = position_ % segment_bytes_ == 0;
    std::string header(first ? 40 : 24, '\0');
    put(header, 0, magic);
    put(header, 2, static_cast<std::uint16_t>(flags | (first ? 2 : 0) | (remaining > 0 ? 1 : 0)));
    put(header, 4, timeline);
    put(header, 8, position_);
    put(header, 16, remaining);
    if (first) {
      put(header, 24, system_identifier);
      put(header, 32, static_cast<std::uint32_t>(segment_bytes_));
      put(header, 36, static_cast<std::uint32_t>(page_bytes));
    }
    append(header, false);
  }

  std::uint64_t position_;
  std::uint64_t start_;
  std::uint64_t segment_bytes_;
  std::uint64_t previous_ = 0;
  std::string bytes_;
  std::vector<bool> checked_;
};

}  // namespace seawall::test
