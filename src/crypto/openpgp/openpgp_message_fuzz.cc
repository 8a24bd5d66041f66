#include <algorithm>

#include "base/error.hh"
#include "crypto/openpgp/content.hh"
#include "crypto/openpgp/message.hh"

namespace {

using seawall::Bytes;
namespace openpgp = seawall::crypto::openpgp;

class Discard final : public seawall::Sink {
 public:
  void write(Bytes) override {}
};

openpgp::SessionKey session_of(const openpgp::Envelope& envelope) {
  // As a key ring would look at them.
  for (const std::string& packet : envelope.packets) openpgp::read_encrypted_session(seawall::bytes_of(packet));
  return {7, seawall::crypto::SecretBytes(16)};
}

template <class Stage>
void push(Stage& stage, Bytes input, std::size_t piece) {
  while (!input.empty()) {
    const std::size_t n = std::min(piece, input.size());
    stage.write(input.first(n));
    input = input.subspan(n);
  }
  stage.finish();
}

}  // namespace

/// The first byte says in what pieces the rest is pushed, the second whether it is a message or what stands inside one:
/// behind the encryption nothing but a random text would be met.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Bytes input(reinterpret_cast<const std::byte*>(data + 2), size - 2);
  const std::size_t piece = data[0] == 0 ? input.size() + 1 : data[0];
  Discard out;
  try {
    if (data[1] % 2 == 0) {
      openpgp::ContentReader content(out);
      push(content, input, piece);
    } else {
      const auto reader = openpgp::read_message(
          {.name = "fuzz", .setting = "FUZZ", .allow_unprotected = (data[1] & 2) != 0, .find_session = session_of},
          out);
      push(*reader, input, piece);
    }
  } catch (const seawall::Error&) {
  }
  return 0;
}
