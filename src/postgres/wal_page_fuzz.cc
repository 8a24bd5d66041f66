#include "base/error.hh"
#include "postgres/page.hh"
#include "postgres/wal_page.hh"

/// A segment's header, and data pages: both are read from files that anything may have written.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const seawall::Bytes input(reinterpret_cast<const std::byte*>(data), size);
  try {
    const auto header = seawall::postgres::parse_segment_header(input, "fuzz");
    if (header.segment_bytes == 0 || header.page_address.value % header.segment_bytes != 0) __builtin_trap();
    seawall::archive::segment_of(header.timeline, header.page_address, header.segment_bytes).name(header.segment_bytes);
  } catch (const seawall::Error&) {
  }
  constexpr std::size_t page_bytes = 1024;
  if (size >= page_bytes) {
    seawall::postgres::check_page(input.first(page_bytes), 1);
    seawall::postgres::page_lsn(input);
  }
  seawall::postgres::RelationFile relation;
  seawall::postgres::is_relation_file(seawall::text_of(input), relation);
  return 0;
}
