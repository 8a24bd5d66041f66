#include <algorithm>

#include "base/error.hh"
#include "crypto/crypto.hh"

namespace {

using seawall::Bytes;
namespace crypto = seawall::crypto;

class Discard final : public seawall::Sink {
 public:
  void write(Bytes) override {}
};

std::shared_ptr<const crypto::Crypter> crypter_of(unsigned kind) {
  static const crypto::KeyService service{
      .name = "fuzz", .new_key = {}, .decrypt = [](Bytes) { return crypto::SecretBytes(32); }};
  if (kind == 0) {
    return crypto::make_libsodium({.key = {.setting = "FUZZ", .text = std::string(32, 'k'), .path = {}}});
  }
  return kind == 1 ? crypto::make_aws_kms(service) : crypto::make_yandex_kms(service);
}

}  // namespace

/// The first byte says in what pieces the rest is pushed, the second to which method.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Bytes input(reinterpret_cast<const std::byte*>(data + 2), size - 2);
  const std::size_t piece = data[0] == 0 ? input.size() + 1 : data[0];
  Discard out;
  try {
    const auto stage = crypter_of(data[1] % 3)->decrypt("fuzz", out);
    while (!input.empty()) {
      const std::size_t n = std::min(piece, input.size());
      stage->write(input.first(n));
      input = input.subspan(n);
    }
    stage->finish();
  } catch (const seawall::Error&) {
  }
  return 0;
}
