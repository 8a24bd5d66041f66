#include "postgres/wal_records.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/crc32c.hh"
#include "base/error.hh"

namespace seawall::postgres {
namespace {

constexpr std::size_t short_header = 24;  // XLogPageHeaderData, aligned; a segment's first page has the long one
constexpr std::uint16_t continues_record = 0x0001;   // XLP_FIRST_IS_CONTRECORD
constexpr std::uint16_t long_header = 0x0002;        // XLP_LONG_HEADER
constexpr std::uint16_t overwrites_record = 0x0008;  // XLP_FIRST_IS_OVERWRITE_CONTRECORD, since 13.5
constexpr std::uint16_t known_flags = 0x000F;
constexpr std::size_t record_header = 24;  // XLogRecord
constexpr std::size_t crc_offset = 20;
constexpr std::uint32_t longest_record = std::uint32_t{1}
                                         << 30;  // what a server can allocate; XLogRecordMaxSize is less
constexpr std::uint64_t alignment = 8;
constexpr std::uint8_t xlog_manager = 0;    // RM_XLOG_ID
constexpr std::uint8_t switch_info = 0x40;  // XLOG_SWITCH
constexpr std::uint8_t info_mask = 0xF0;    // the rest is the server's own, XLR_INFO_MASK

}  // namespace

void WalRecordReader::fail(std::string_view cause) const {
  throw Error(Errc::corrupt, fmt::format("{}: at {}: {}", name_, archive::Lsn{position_}.text(), cause));
}

void WalRecordReader::begin_segment(std::string name, archive::Segment segment) {
  const std::uint64_t start = segment.start(segment_bytes_).value;
  name_ = std::move(name);
  segment_ = segment;
  if (started_ && start != position_)
    fail(fmt::format("the segment of {} was to follow", segment.start(segment_bytes_).text()));
  position_ = start;
  segment_end_ = start + segment_bytes_;
  page_header_done_ = false;
  page_have_ = 0;
  ends_early_.reset();
  if (stage_ == Stage::rest_of_segment) begin_record();
}

std::size_t WalRecordReader::page_header_bytes() const noexcept {
  return at_segment_start() ? wal_segment_header_bytes : short_header;
}

void WalRecordReader::write(Bytes data) {
  while (!data.empty()) {
    if (position_ + page_have_ >= segment_end_) fail("more bytes than a segment has");
    if (stage_ == Stage::rest_of_segment && !at_segment_start()) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), segment_end_ - position_));
      position_ += n;
      data = data.subspan(n);
    } else if (!page_header_done_) {
      data = take_page_header(data);
    } else {
      data = take(data);
    }
  }
}

void WalRecordReader::end_segment() {
  if (position_ != segment_end_) fail(fmt::format("the segment ends here, {} bytes short", segment_end_ - position_));
}

Bytes WalRecordReader::take_page_header(Bytes data) {
  const std::size_t wanted = page_header_bytes();
  const std::size_t n = std::min(data.size(), wanted - page_have_);
  std::copy_n(data.begin(), n, page_.begin() + static_cast<std::ptrdiff_t>(page_have_));
  page_have_ += n;
  if (page_have_ == wanted) {
    check_page_header();
    position_ += wanted;
    page_have_ = 0;
    page_header_done_ = true;
  }
  return data.subspan(n);
}

void WalRecordReader::check_page_header() {
  const Bytes page(page_);
  if (at_segment_start()) {
    header_ = parse_segment_header(page, name_);
    if (header_.segment_bytes != segment_bytes_)
      fail(fmt::format("its header says segments of {} bytes", header_.segment_bytes));
  }
  const auto magic = load_le<std::uint16_t>(page, 0);
  const auto info = load_le<std::uint16_t>(page, 2);
  const auto timeline = load_le<std::uint32_t>(page, 4);
  const archive::Lsn address{load_le<std::uint64_t>(page, 8)};
  if (magic != header_.magic)
    fail(fmt::format("a page with the magic 0x{:04X} among those with 0x{:04X}", magic, header_.magic));
  if (header_.magic <= newest_wal_magic && (info & ~known_flags) != 0)
    fail(fmt::format("a page with the unknown flags 0x{:04X}", info));
  if (((info & long_header) != 0) != at_segment_start()) fail("a page header of the wrong form");
  if (address.value != position_) fail(fmt::format("the page that is here belongs to {}", address.text()));
  if (timeline > segment_.timeline || timeline < page_timeline_) {
    fail(fmt::format("a page of timeline {} in a segment of timeline {}{}", timeline, segment_.timeline,
                     timeline < page_timeline_ ? fmt::format(", behind one of {}", page_timeline_) : ""));
  }
  page_timeline_ = timeline;
  check_continuation(info, load_le<std::uint32_t>(page, 16));
  started_ = true;
}

/// What the page says of the record that reaches into it, compared with what is known of that.
void WalRecordReader::check_continuation(std::uint16_t info, std::uint32_t remaining) {
  const bool continues = (info & continues_record) != 0;
  if (continues && remaining == 0) fail("a page that continues a record by no bytes");
  if (!started_) {
    stage_ = Stage::orphan;
    left_ = remaining;
    if (!continues) begin_record();
    return;
  }
  const bool open = within_record() || stage_ == Stage::orphan;
  if (open && (info & overwrites_record) != 0) return begin_record();  // the server crashed in it, and says so
  if (!open) {
    if (continues) fail("the page continues a record, but none is under way");
    return;
  }
  if (!continues) fail(fmt::format("the record that began at {} is not continued", archive::Lsn{record_start_}.text()));
  const std::uint64_t expected = stage_ == Stage::record_header ? length_ - have_ : left_;
  if (remaining != expected) {
    fail(fmt::format("{} bytes of the record that began at {} are still to come, the page says {}", expected,
                     archive::Lsn{record_start_}.text(), remaining));
  }
}

Bytes WalRecordReader::take(Bytes data) {
  const std::uint64_t page_left = header_.block_bytes - position_ % header_.block_bytes;
  std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), page_left));
  if (stage_ == Stage::record_header) {
    if (have_ == 0) record_start_ = position_;
    // The length first: it says whether there is a record.
    n = std::min(n, (have_ < sizeof length_ ? sizeof length_ : record_header) - have_);
    std::copy_n(data.begin(), n, record_.begin() + static_cast<std::ptrdiff_t>(have_));
    have_ += n;
  } else {
    n = static_cast<std::size_t>(std::min<std::uint64_t>(n, left_));
    if (stage_ == Stage::body) crc_ = crc32c(data.first(n), crc_);
    left_ -= n;
  }
  position_ += n;
  const bool page_ended = position_ % header_.block_bytes == 0;
  if (stage_ == Stage::record_header) {
    if (have_ == sizeof length_) check_length();
    if (have_ == record_header) check_record_header();
  } else if (left_ == 0) {
    stage_ == Stage::body ? end_record() : begin_record();
  }
  if (page_ended) page_header_done_ = false;
  return data.subspan(n);
}

/// Behind whatever came last, at the next multiple of 8.
void WalRecordReader::begin_record() {
  left_ = (alignment - position_ % alignment) % alignment;
  stage_ = left_ > 0 ? Stage::padding : Stage::record_header;
  have_ = 0;
  crc_ = 0;
}

void WalRecordReader::check_length() {
  length_ = load_le<std::uint32_t>(record_, 0);
  if (length_ == 0) {
    ends_early_ = archive::Lsn{record_start_};
    stage_ = Stage::rest_of_segment;
    return;
  }
  if (length_ < record_header || length_ > longest_record) {
    fail(fmt::format("the record at {} says that it has {} bytes", archive::Lsn{record_start_}.text(), length_));
  }
}

void WalRecordReader::check_record_header() {
  const auto link = load_le<std::uint64_t>(record_, 8);
  if (previous_ ? link != *previous_ : link >= record_start_) {
    fail(fmt::format("the record at {} says that {} is the one before it{}", archive::Lsn{record_start_}.text(),
                     archive::Lsn{link}.text(),
                     previous_ ? fmt::format(", which is {}", archive::Lsn{*previous_}.text()) : ""));
  }
  left_ = length_ - record_header;
  if (left_ == 0) return end_record();
  stage_ = Stage::body;
}

void WalRecordReader::end_record() {
  const std::uint32_t crc = crc32c(Bytes(record_).first(crc_offset), crc_);
  if (crc != load_le<std::uint32_t>(record_, crc_offset)) {
    const bool earlier = record_start_ < segment_end_ - segment_bytes_;
    fail(fmt::format("the record at {} ({} bytes{}) has a wrong checksum", archive::Lsn{record_start_}.text(), length_,
                     earlier ? ", begun in an earlier segment" : ""));
  }
  previous_ = record_start_;
  ++records_;
  const auto info = std::to_integer<std::uint8_t>(record_[16]);
  const auto manager = std::to_integer<std::uint8_t>(record_[17]);
  begin_record();
  if (manager == xlog_manager && (info & info_mask) == switch_info) stage_ = Stage::rest_of_segment;
}

}  // namespace seawall::postgres
