#include "crypto/ossl.hh"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <array>

#include "base/error.hh"

namespace seawall::crypto::ossl {

void check(bool ok, std::string_view what) {
  if (ok) return;
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  throw Error(Errc::bug, fmt::format("OpenSSL cannot {}: {}", what, text.data()));
}

void fill_random(MutableBytes into) {
  check(RAND_priv_bytes(raw(into.data()), static_cast<int>(into.size())) == 1, "give random bytes");
}

}  // namespace seawall::crypto::ossl
