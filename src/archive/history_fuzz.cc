#include "archive/layout.hh"
#include "archive/wal_name.hh"
#include "base/error.hh"

/// A timeline history, and every name that is read from listings and directories.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    seawall::archive::Timeline last = 0;
    for (const auto& entry : seawall::archive::parse_history(text, "00000002.history")) {
      if (entry.timeline <= last) __builtin_trap();
      last = entry.timeline;
    }
  } catch (const seawall::Error&) {
  }
  const std::uint64_t segment_bytes = std::uint64_t{1} << (20 + size % 11);
  if (const auto segment = seawall::archive::parse_segment(text, segment_bytes)) {
    if (seawall::archive::parse_segment(segment->name(segment_bytes), segment_bytes) != segment) __builtin_trap();
  }
  if (const auto lsn = seawall::archive::parse_lsn(text)) {
    if (seawall::archive::parse_lsn(lsn->text()) != lsn) __builtin_trap();
  }
  if (seawall::archive::parse_history_name(text) &&
      seawall::archive::wal_file_kind(text) != seawall::archive::WalFileKind::history) {
    __builtin_trap();
  }
  if (seawall::archive::segment_name_of_backup(text).size() != 24) __builtin_trap();
  if (const auto backup = seawall::archive::backup_of_sentinel(text); backup && backup->empty()) __builtin_trap();
  return 0;
}
