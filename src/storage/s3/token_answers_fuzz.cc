#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hh"
#include "storage/s3/token_answers.hh"

namespace {

using seawall::storage::s3::Credentials;

template <class Read>
void require_whole(const Read& read) {
  try {
    const Credentials credentials = read();
    if (credentials.access_key.empty() || credentials.secret_key.empty()) std::abort();
    for (const char c : credentials.access_key + credentials.secret_key + credentials.session_token) {
      if (c <= ' ' || c > '~') std::abort();
    }
  } catch (const seawall::Error&) {
    return;
  }
}

}  // namespace

/// Any bytes are credentials that can be sent, or an Error; what a service refuses with is never one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  using namespace seawall::storage::s3;
  require_whole([&] { return credentials_from_xml(text, "fuzz"); });
  require_whole([&] { return credentials_from_json(text, "fuzz"); });
  refusal_from_xml(text);
  if (refusal_from_json(text).code == "Success") std::abort();
  version_from_json(text);
  return 0;
}
