#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "archive/wal_name.hh"
#include "base/run.hh"
#include "pipeline/repository.hh"
#include "postgres/wal_page.hh"

namespace seawall::ops {

/// Whether bytes are the WAL segment that their name says.
///
/// `name`: "0…15" or "0…15.partial"; `origin`: the file or object, for messages; `head`: at least the first
/// wal_segment_header_bytes bytes if there are so many; `bytes`: the size of the whole.
/// Errc::corrupt saying what is wrong: empty, no segment size, zeros or garbage where the header should be, a header
/// of another size, or WAL of another position than the name's. Errc::unsupported for WAL older than PostgreSQL 10.
/// Errc::foreign if the header's timeline is younger than the name's. Logs a warning for WAL newer than this build.
postgres::WalSegmentHeader check_segment(std::string_view name, std::string_view origin, Bytes head,
                                         std::uint64_t bytes, Log& log);

/// A segment may carry an older timeline than its name: the first one after a promotion is a copy. Then that timeline
/// must be an ancestor, which the history file tells: beside the file in `pg_wal` if there is such a directory, else
/// from the archive. Errc::foreign if it is none, and if there is no history when `must_be_known`.
void check_ancestry(const postgres::WalSegmentHeader& header, std::string_view name, std::string_view origin,
                    const std::optional<std::filesystem::path>& pg_wal, const pipeline::Repository& repository,
                    bool must_be_known, const Run& run);

/// Finds a torn segment while its bytes pass by: every page must be the one that belongs there, or all zeros at its
/// head (what follows a segment switch). Whole pages in order; only heads are looked at.
class PageSequence {
 public:
  PageSequence(const postgres::WalSegmentHeader& header, std::string_view origin);
  /// `data` stands at `offset` of the segment. Errc::corrupt naming the page.
  void update(Bytes data, std::uint64_t offset) const;

 private:
  const std::uint64_t start_;
  const std::uint64_t page_bytes_;
  const std::uint16_t magic_;
  const std::string origin_;
};

/// The system identifier of a data directory; nothing if it has no control file, or (with a warning) one of a server
/// that this build does not know. Errc::corrupt if it is damaged.
std::optional<std::uint64_t> system_identifier_of(const std::filesystem::path& data_directory, Log& log);

/// The data directory that a path like PGDATA/pg_wal/NAME lies in, if it is one: "." for "pg_wal/NAME".
std::optional<std::filesystem::path> data_directory_around(const std::filesystem::path& file_in_pg_wal);

}  // namespace seawall::ops
