#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "archive/files_metadata.hh"
#include "base/error.hh"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seawall;
  // Nothing that is handed out is longer than the document.
  const auto check = [&](std::size_t bytes) {
    if (bytes > size) std::abort();
  };
  const archive::FilesMetadataEvents events{
      .file = [&](const archive::FileEntry& entry) { check(entry.name.size() + entry.corrupt_blocks.size()); },
      .part_file = [&](std::string_view part, std::string_view file) { check(part.size() + file.size()); },
      .part = [&](std::string_view part) { check(part.size()); },
      .relation = [&](const archive::RelationEntry& entry) { check(entry.name.size() + entry.subtables.size()); },
      .database = [&](std::string_view name, std::uint32_t) { check(name.size()); }};
  try {
    MemorySource source(std::as_bytes(std::span(data, size)));
    archive::read_files_metadata(source, "fuzz", events);
  } catch (const Error&) {
  }
  return 0;
}
