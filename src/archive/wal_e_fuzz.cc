#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "archive/wal_e.hh"
#include "base/error.hh"

namespace {

using namespace seawall;

constexpr std::uint64_t segment_bytes = std::uint64_t{16} << 20;

/// What WAL-E's sentinel is read for, and a sentinel of ours made of it, which reads to the same.
void read_sentinel(std::string_view text) {
  try {
    archive::parse_wal_e_stop(text, "fuzz");
    archive::Sentinel sentinel = archive::parse_sentinel(text, "fuzz");
    if (sentinel.is_delta()) return;
    const std::string printed = archive::print_wal_e_sentinel(sentinel, archive::Timeline{1}, segment_bytes);
    const archive::Sentinel again = archive::parse_sentinel(printed, "printed");
    archive::parse_wal_e_stop(printed, "printed");
    if (again.pg_version != sentinel.pg_version || again.finish_lsn != sentinel.finish_lsn.value_or(archive::Lsn{})) {
      std::abort();
    }
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
  }
}

/// A --restore-spec file over what a sentinel says.
void merge(std::string_view text) {
  const archive::TablespaceSpec recorded{.base_prefix = "/srv/pg/",
                                         .tablespaces = {{"16789", "/srv/ts/", "pg_tblspc/16789"}}};
  try {
    const archive::TablespaceSpec merged = archive::merge_wal_e_spec(recorded, text, "fuzz");
    for (const auto& tablespace : merged.tablespaces) {
      if (tablespace.location.empty() || tablespace.link != "pg_tblspc/" + tablespace.oid) std::abort();
    }
    archive::sets_base_prefix(text, "fuzz");
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
  }
}

void read_names(std::string_view text) {
  archive::parse_wal_e_name(text);
  if (archive::wal_e_part_number(text) && !text.starts_with("part_")) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_sentinel(text);
  merge(text);
  read_names(text);
  return 0;
}
