#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "archive/dump.hh"
#include "base/error.hh"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seawall;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::string_view record = "seawall_005/dumps/20261121T093414Z/database_app.json";
  archive::Dump dump;
  try {
    dump = archive::parse_dump_record(text, record, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  if (archive::parse_dump_record(archive::print_dump_record(dump), record, "again") != dump) std::abort();
  return 0;
}
