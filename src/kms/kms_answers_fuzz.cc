#include <cstddef>
#include <cstdint>
#include <string>

#include "kms/answers.hh"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seawall;
  const std::string text(reinterpret_cast<const char*>(data), size);
  kms::aws_error(text);
  kms::yandex_address(text, "kms-crypto");
  kms::text_member(text, "iamToken");
  kms::number_member(text, "expires_in");
  for (const bool two : {false, true}) {
    std::string taken = text;
    try {
      if (two) kms::take_two(taken, "dataKeyPlaintext", "dataKeyCiphertext", "fuzz");
      if (!two && kms::take_bytes(taken, "Plaintext", "fuzz").empty()) __builtin_trap();
    } catch (const Error&) {
    }
  }
  return 0;
}
