#include <cstdlib>

#include "archive/verified.hh"
#include "base/bytes.hh"
#include "base/error.hh"

/// What is read is printed so that it reads the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace seawall;
  std::string once;
  try {
    once = archive::print_verified(
        archive::parse_verified(text_of(Bytes(reinterpret_cast<const std::byte*>(data), size)), "fuzz"));
  } catch (const Error&) {
    return 0;
  }
  if (archive::print_verified(archive::parse_verified(once, "fuzz")) != once) std::abort();
  return 0;
}
