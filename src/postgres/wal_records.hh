#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "archive/wal_name.hh"
#include "base/bytes.hh"
#include "base/io.hh"
#include "postgres/wal_page.hh"

namespace seawall::postgres {

/// Reads the WAL records of successive segments that are pushed into it, and checks what recovery would: the header of
/// every page (magic, address, timeline, how much of a record continues there), of every record its length, its link to
/// the one before and its CRC-32C, across pages and segments. The form is that of PostgreSQL 10 to 18
/// (access/xlog_internal.h, access/xlogrecord.h). Records are not interpreted but for the one that ends a segment
/// early.
///
///     for each segment: begin_segment(name, timeline); write(...)…; end_segment();
///
/// Errors are Errc::corrupt (unsupported for WAL older than PostgreSQL 10), naming the segment and the LSN; the reader
/// is of no more use then, and another one can begin at any later segment. A record that began before the first segment
/// is passed over. Memory is constant, whatever the records' length. One thread.
class WalRecordReader final : public Sink {
 public:
  explicit WalRecordReader(std::uint64_t segment_bytes) : segment_bytes_(segment_bytes) {}

  /// The next segment; its bytes follow. `timeline` by its name: pages may be of an older one, since the segment in
  /// which a timeline begins is a copy up to there.
  void begin_segment(std::string name, archive::Segment segment);
  void write(Bytes data) override;
  /// Errc::corrupt if the segment is cut.
  void end_segment();

  const WalSegmentHeader& header() const noexcept { return header_; }  ///< of the segment read last
  std::uint64_t records() const noexcept { return records_; }          ///< whole ones so far
  /// Does a record begin in what was read that ends only in the next segment?
  bool within_record() const noexcept { return stage_ == Stage::record_header ? have_ > 0 : stage_ == Stage::body; }
  /// Where the records of the current segment end before the segment does, without a switch having ended it: only the
  /// last segment of a timeline may be like that.
  std::optional<archive::Lsn> ends_early() const noexcept { return ends_early_; }

 private:
  enum class Stage {
    orphan,         // the rest of a record that began before what is read here
    padding,        // to the next multiple of 8
    record_header,  // 24 bytes, which may lie on two pages
    body,
    rest_of_segment,  // nothing more to come in it
  };

  [[noreturn]] void fail(std::string_view cause) const;
  std::size_t page_header_bytes() const noexcept;
  bool at_segment_start() const noexcept { return position_ % segment_bytes_ == 0; }
  Bytes take_page_header(Bytes data);
  void check_page_header();
  void check_continuation(std::uint16_t info, std::uint32_t remaining);
  Bytes take(Bytes data);
  void begin_record();
  void check_length();
  void check_record_header();
  void end_record();

  const std::uint64_t segment_bytes_;
  std::string name_;
  archive::Segment segment_;
  std::uint64_t position_ = 0;  // LSN of the next byte
  std::uint64_t segment_end_ = 0;
  bool started_ = false;

  std::array<std::byte, wal_segment_header_bytes> page_{};  // a page header as it comes
  std::size_t page_have_ = 0;
  bool page_header_done_ = true;
  WalSegmentHeader header_;
  archive::Timeline page_timeline_ = 0;

  Stage stage_ = Stage::orphan;
  std::uint64_t left_ = 0;  // bytes of the stage still to come
  std::array<std::byte, 24> record_{};
  std::size_t have_ = 0;
  std::uint32_t length_ = 0;
  std::uint32_t crc_ = 0;
  std::uint64_t record_start_ = 0;
  std::optional<std::uint64_t> previous_;  // where the last whole record began
  std::uint64_t records_ = 0;
  std::optional<archive::Lsn> ends_early_;
};

}  // namespace seawall::postgres
