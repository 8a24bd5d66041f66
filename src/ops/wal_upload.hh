#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "archive/wal_name.hh"
#include "base/digest.hh"
#include "base/file.hh"
#include "base/run.hh"
#include "base/work.hh"
#include "pipeline/repository.hh"
#include "postgres/wal_page.hh"

namespace seawall::ops {

/// A file of pg_wal, open, and found to be what its name says.
struct LocalWal {
  std::filesystem::path path;
  std::string name;
  archive::WalFileKind kind = archive::WalFileKind::other;
  Fd fd;
  std::uint64_t bytes = 0;
  Time modified{};
  std::optional<postgres::WalSegmentHeader> header;  ///< of segments and .partial files
};

/// Errc::usage if `path` does not end in the name of a WAL file; not_found, denied; and those of check_segment().
LocalWal open_local_wal(const std::filesystem::path& path, Log& log);

/// Of the whole content.
Digest digest_of_file(const LocalWal& file);

struct WalUpload {
  bool created = false;          ///< false: an equal object was there already
  std::optional<Digest> digest;  ///< of the file's content, if it was asked for
  std::uint64_t stored_bytes = 0;
};

/// Stores the file under its name unless it is there already. What is there under any codec is compared: the same
/// content is a success, other content Errc::differs with both digests. Nothing stored is ever changed.
/// `pool`: for compressing large files, or null.
WalUpload upload_wal(const pipeline::Repository& repository, const LocalWal& file, CpuPool* pool, bool want_digest,
                     const Run& run);

}  // namespace seawall::ops
