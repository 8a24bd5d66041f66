#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

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

/// Makes the sum of every block that looks like a header right, which mutations never would.
std::string with_sums(std::string_view tar) {
  std::string mended(tar);
  for (std::size_t at = 0; at + 512 <= mended.size(); at += 512) {
    char* block = mended.data() + at;
    if (std::string_view(block + 257, 5) != "ustar") continue;
    std::fill_n(block + 148, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(block[i]);
    for (std::size_t digit = 154; digit-- > 148; sum /= 8) block[digit] = static_cast<char>('0' + sum % 8);
    block[154] = '\0';
  }
  return mended;
}

void read(std::string_view tar, std::size_t piece) {
  Checker checker;
  try {
    archive::TarReader reader(checker, "fuzz");
    for (std::size_t at = 0; at < tar.size(); at += piece) reader.write(bytes_of(tar.substr(at, piece)));
    reader.finish();
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view tar(reinterpret_cast<const char*>(data), size);
  read(tar, 512);
  read(with_sums(tar), size == 0 ? 1 : data[0] * std::size_t{5} + 1);
  return 0;
}
