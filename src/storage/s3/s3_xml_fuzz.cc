// Every reader of what a server sends: any bytes give a value or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.hh"
#include "storage/s3/http_time.hh"
#include "storage/s3/s3_errors.hh"
#include "storage/s3/s3_xml.hh"

namespace {

template <class F>
void attempt(F&& parse) {
  try {
    parse();
  } catch (const seawall::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace s3 = seawall::storage::s3;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  s3::parse_fault(text);
  s3::bare_tag(text);
  s3::parse_http_time(text);
  s3::parse_content_range(text);
  attempt([&] { s3::parse_list(text); });
  attempt([&] { s3::parse_upload_id(text); });
  attempt([&] { s3::parse_result(text); });
  attempt([&] { s3::parse_removals(text); });
  // What we write of a key can be read back.
  if (s3::fits_xml(text)) s3::parse_fault(s3::removal_request(std::vector{s3::Removal{std::string(text)}}));
  return 0;
}
