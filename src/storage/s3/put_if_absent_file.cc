#include "storage/s3/put_if_absent_file.hh"

#include <fmt/format.h>

#include <utility>

#include "base/digest.hh"
#include "base/error.hh"
#include "base/file.hh"

namespace seawall::storage::s3 {
namespace {

/// Its digest, so that nothing of the configuration lies about.
std::string line_of(const Digest& place, bool honoured) {
  return fmt::format("{} put-if-absent {}\n", place.hex(), honoured ? "honoured" : "ignored");
}

}  // namespace

PutIfAbsentCache put_if_absent_in(std::filesystem::path file, std::string_view place) {
  const Digest digest = digest_of(bytes_of(place));
  return {.recall = [file, digest]() -> std::optional<bool> {
            constexpr std::size_t longest = 1024;
            try {
              const auto text = try_read_file(file, longest);
              if (text == line_of(digest, true)) return true;
              if (text == line_of(digest, false)) return false;
            } catch (const Error&) {
              // As if it were not there.
              return std::nullopt;
            }
            return std::nullopt;
          },
          .keep =
              [file, digest](bool honoured) {
                try {
                  replace_file(file, line_of(digest, honoured), 0644);
                } catch (const Error&) {
                  // Found out again next time.
                  return;
                }
              }};
}

}  // namespace seawall::storage::s3
