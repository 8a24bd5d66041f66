#include "storage/http/trust.hh"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/error.hh"
#include "base/file.hh"

namespace seawall::storage::http {
namespace {

void check_readable(const std::string& path) {
  try {
    const Fd file = open_file(path, O_RDONLY);
    std::byte first{};
    read_at(file, {&first, 1}, 0, path);
  } catch (const Error& error) {
    throw Error(Errc::config, fmt::format("the file of trusted certificates cannot be read: {}; name a PEM file that "
                                          "this user may read",
                                          error.what()));
  }
}

/// "5ed36f99.0"
bool is_hashed_name(std::string_view name) {
  constexpr std::size_t hash_digits = 8;
  return name.size() == hash_digits + 2 && name.ends_with(".0") &&
         name.substr(0, hash_digits).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool has_hashed_names(const std::string& directory) {
  std::error_code ignored;
  const std::filesystem::directory_iterator entries(directory, ignored);
  return std::any_of(begin(entries), end(entries),
                     [](const auto& entry) { return is_hashed_name(entry.path().filename().native()); });
}

}  // namespace

Trust::Trust(const Libcurl& curl, std::string ca_file) : ca_file_(std::move(ca_file)) {
  if (!ca_file_.empty()) {
    check_readable(ca_file_);
    return;
  }
#if LIBCURL_VERSION_NUM >= 0x075400
  // Older ones do not tell what they were built with; then everything stays as it is.
  const std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)> asked(curl.easy_init(), curl.easy_cleanup);
  const char* file = nullptr;
  const char* directory = nullptr;
  if (asked == nullptr || curl.easy_getinfo(asked.get(), CURLINFO_CAINFO, &file) != CURLE_OK ||
      curl.easy_getinfo(asked.get(), CURLINFO_CAPATH, &directory) != CURLE_OK || directory == nullptr) {
    return;
  }
  if (file != nullptr) system_file_ = file;
  if (has_hashed_names(directory)) directory_ = directory;
#endif
}

void Trust::apply(const Lane& lane) const {
  if (!ca_file_.empty()) {
    lane.set(CURLOPT_CAINFO, ca_file_);
    lane.set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  } else if (!directory_.empty()) {
    lane.set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
    lane.set(CURLOPT_CAPATH, directory_);
  }
}

void Trust::widen(const Lane& lane) const {
  if (!system_file_.empty()) lane.set(CURLOPT_CAINFO, system_file_);
}

}  // namespace seawall::storage::http
