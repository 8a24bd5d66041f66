#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace seawall::archive {

/// A position in the WAL: byte offset from the beginning of time. Text "X/Y" in hex, as PostgreSQL prints it;
/// a number in WAL-G's JSON.
struct Lsn {
  std::uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;
  std::string text() const;  ///< "0/1500028"
};
std::optional<Lsn> parse_lsn(std::string_view text);

using Timeline = std::uint32_t;

/// PostgreSQL's segment sizes are powers of two from 1 MiB to 1 GiB (xlog_internal.h, IsValidWalSegSize).
bool is_segment_size(std::uint64_t bytes) noexcept;

/// A WAL segment by timeline and number; the name is %08X%08X%08X of (timeline, number div N, number mod N) with
/// N = 2^32 / segment size (xlog_internal.h, XLogFileName).
struct Segment {
  Timeline timeline = 0;
  std::uint64_t number = 0;
  auto operator<=>(const Segment&) const = default;

  std::string name(std::uint64_t segment_bytes) const;
  Lsn start(std::uint64_t segment_bytes) const { return {number * segment_bytes}; }
  Segment next() const { return {timeline, number + 1}; }
};
/// The segment that holds the byte at `lsn`.
Segment segment_of(Timeline timeline, Lsn lsn, std::uint64_t segment_bytes) noexcept;
/// Nothing unless `name` is exactly 24 hex digits whose last part is < N. Lower case is accepted.
std::optional<Segment> parse_segment(std::string_view name, std::uint64_t segment_bytes);

/// What a file name in pg_wal says the file is.
enum class WalFileKind { segment, partial, history, backup_label, other };
/// "0…15": segment; "0…15.partial"; "00000002.history"; "0…15.00000028.backup"; anything else: other.
WalFileKind wal_file_kind(std::string_view name) noexcept;
bool is_segment_name(std::string_view name) noexcept;  ///< 24 hex digits

/// One line of a timeline history: the timeline and where it ended.
struct HistoryEntry {
  Timeline timeline = 0;
  Lsn end;
};
/// A .history file (timeline.c, readTimeLineHistory): ancestors in order, oldest first. Errc::corrupt on lines that
/// are neither empty, comments nor "timeline<blank>LSN<blank>reason", or out of order.
std::vector<HistoryEntry> parse_history(std::string_view text, std::string_view name);
std::string history_name(Timeline timeline);  ///< "00000002.history"
std::optional<Timeline> parse_history_name(std::string_view name);

}  // namespace seawall::archive
