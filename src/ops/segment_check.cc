#include "ops/segment_check.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "pipeline/object_reader.hh"
#include "postgres/control_file.hh"

namespace seawall::ops {
namespace {

constexpr std::size_t name_digits = 24;
constexpr std::size_t history_limit = std::size_t{16} << 20;
/// Of XLogPageHeaderData: magic, info, timeline, page address.
constexpr std::size_t page_head_bytes = 16;

bool all_zero(Bytes data) {
  return std::all_of(data.begin(), data.end(), [](std::byte b) { return b == std::byte{0}; });
}

[[noreturn]] void refuse(std::string_view origin, std::string_view why) {
  throw Error(Errc::corrupt, fmt::format("'{}' {}", origin, why));
}

std::optional<std::string> local_history(const std::optional<std::filesystem::path>& pg_wal, const std::string& name) {
  if (!pg_wal) return std::nullopt;
  return try_read_file(*pg_wal / name, history_limit);
}

std::optional<std::string> archived_history(const pipeline::Repository& repository, const std::string& name,
                                            const Run& run) {
  const auto found = pipeline::find_encoded(repository, archive::wal_object(name), run.stop);
  if (!found) return std::nullopt;
  StringSink sink;
  pipeline::pull(repository, found->object, *found->codec, sink, run.stop);
  return std::move(sink.text());
}

}  // namespace

postgres::WalSegmentHeader check_segment(std::string_view name, std::string_view origin, Bytes head,
                                         std::uint64_t bytes, Log& log) {
  if (bytes == 0) refuse(origin, "is empty: no WAL segment is");
  if (!archive::is_segment_size(bytes)) {
    refuse(origin,
           fmt::format("has {} bytes, which is no size of a WAL segment (1 MiB to 1 GiB, a power of two): it is "
                       "cut short, torn, or still being written",
                       bytes));
  }
  if (all_zero(head.first(std::min(head.size(), postgres::wal_segment_header_bytes)))) {
    refuse(origin, "starts with zeros where a WAL page header belongs: a torn or unwritten segment");
  }
  const postgres::WalSegmentHeader header = postgres::parse_segment_header(head, origin);
  if (header.segment_bytes != bytes) {
    refuse(origin,
           fmt::format("has {} bytes, but its header says that segments of its cluster have {}: it is cut short "
                       "or torn",
                       bytes, header.segment_bytes));
  }
  const std::optional<archive::Segment> segment = archive::parse_segment(name.substr(0, name_digits), bytes);
  if (!segment) {
    refuse(origin, fmt::format("has a name that does not exist in a cluster with WAL segments of {} bytes", bytes));
  }
  const archive::Lsn expected = segment->start(bytes);
  if (header.page_address != expected) {
    refuse(origin, fmt::format("holds WAL from {} on, but by its name it must start at {}: a recycled, renamed or torn "
                               "segment",
                               header.page_address.text(), expected.text()));
  }
  if (header.timeline > segment->timeline) {
    throw Error(Errc::foreign,
                fmt::format("'{}' holds WAL of timeline {}, which is younger than timeline {} of its name", origin,
                            header.timeline, segment->timeline));
  }
  if (!postgres::wal_magic_version(header.magic)) {
    log.warning("'{}' is WAL of a PostgreSQL newer than this seawall knows (page magic 0x{:04X})", origin,
                header.magic);
  }
  return header;
}

void check_ancestry(const postgres::WalSegmentHeader& header, std::string_view name, std::string_view origin,
                    const std::optional<std::filesystem::path>& pg_wal, const pipeline::Repository& repository,
                    bool must_be_known, const Run& run) {
  const auto own = parse_int<archive::Timeline>(name.substr(0, 8), 16);
  if (!own || *own == header.timeline) return;
  const std::string history = archive::history_name(*own);
  std::optional<std::string> text = local_history(pg_wal, history);
  if (!text) text = archived_history(repository, history, run);
  if (!text) {
    if (!must_be_known) return;
    throw Error(
        Errc::foreign,
        fmt::format("'{}' starts with WAL of timeline {}, and neither the directory it is in nor the archive has "
                    "'{}' to show that this is an ancestor of timeline {}",
                    origin, header.timeline, history, *own));
  }
  for (const archive::HistoryEntry& entry : archive::parse_history(*text, history)) {
    if (entry.timeline != header.timeline) continue;
    // The copy is made because the switch lies within this segment: an ancestor that ended before it has no WAL here.
    if (entry.end > header.page_address) return;
    throw Error(Errc::foreign,
                fmt::format("'{}' starts with WAL of timeline {} at {}, but by '{}' that timeline ended "
                            "at {}",
                            origin, header.timeline, header.page_address.text(), history, entry.end.text()));
  }
  throw Error(Errc::foreign,
              fmt::format("'{}' starts with WAL of timeline {}, which by '{}' is no ancestor of timeline {}", origin,
                          header.timeline, history, *own));
}

PageSequence::PageSequence(const postgres::WalSegmentHeader& header, std::string_view origin)
    : start_(header.page_address.value), page_bytes_(header.block_bytes), magic_(header.magic), origin_(origin) {}

void PageSequence::update(Bytes data, std::uint64_t offset) const {
  std::uint64_t page = (offset + page_bytes_ - 1) / page_bytes_ * page_bytes_;
  for (; page + page_head_bytes <= offset + data.size(); page += page_bytes_) {
    const Bytes head = data.subspan(page - offset, page_head_bytes);
    const auto magic = load_le<std::uint16_t>(head, 0);
    const auto address = load_le<std::uint64_t>(head, 8);
    if (magic == magic_ && address == start_ + page) continue;
    if (all_zero(head)) continue;
    refuse(origin_, fmt::format("is torn: at byte {} it should hold the WAL page of {}, but what is there says magic "
                                "0x{:04X} and {}",
                                page, archive::Lsn{start_ + page}.text(), magic, archive::Lsn{address}.text()));
  }
}

std::optional<std::uint64_t> system_identifier_of(const std::filesystem::path& data_directory, Log& log) {
  try {
    const auto control = postgres::try_read_control_file(data_directory);
    if (!control) return std::nullopt;
    return control->system_identifier;
  } catch (const Error& error) {
    if (error.code() != Errc::unsupported) throw;
    log.warning("{}; it is not compared with the WAL", error.what());
    return std::nullopt;
  }
}

std::optional<std::filesystem::path> data_directory_around(const std::filesystem::path& file_in_pg_wal) {
  namespace fs = std::filesystem;
  const fs::path folder = file_in_pg_wal.parent_path().lexically_normal();
  fs::path data_directory;
  if (folder.empty() || folder == ".") {
    data_directory = "..";
  } else {
    // By its name, not through "..": pg_wal is often a link to another volume.
    data_directory = folder.has_filename() ? folder.parent_path() : folder.parent_path().parent_path();
    if (data_directory.empty()) data_directory = ".";
  }
  std::error_code ignored;
  if (!fs::exists(data_directory / "global" / "pg_control", ignored)) return std::nullopt;
  return data_directory;
}

}  // namespace seawall::ops
