#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "archive/tar.hh"
#include "base/error.hh"

namespace {

using namespace seawall;

/// Every header that can be read can be written or is refused with an Error; bodies have the length they claim.
class Checker final : public archive::MemberSink {
 public:
  void begin(const archive::Member& member, std::uint64_t) override {
    expected_ = member.bytes;
    try {
      if (archive::tar_header(member).size() % 512 != 0) std::abort();
    } catch (const Error&) {
    }
  }
  void body(Bytes data) override {
    if (data.size() > expected_) std::abort();
    expected_ -= data.size();
  }
  void end() override {
    if (expected_ != 0) std::abort();
  }

 private:
  std::uint64_t expected_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::size_t piece = size == 0 ? 1 : data[0] * std::size_t{5} + 1;
  Bytes rest = std::as_bytes(std::span(data, size));
  Checker checker;
  try {
    archive::TarReader reader(checker, "fuzz");
    while (!rest.empty()) {
      const std::size_t n = rest.size() < piece ? rest.size() : piece;
      reader.write(rest.first(n));
      rest = rest.subspan(n);
    }
    reader.finish();
  } catch (const Error&) {
  }
  return 0;
}
