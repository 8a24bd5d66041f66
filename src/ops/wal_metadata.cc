#include "ops/wal_metadata.hh"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "archive/layout.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

/// Segments whose names differ in the last digit only are one bulk.
constexpr std::size_t bulk_digits = 23;
constexpr std::size_t entry_limit = 65536;

std::string entry_of(std::string_view name, Time written) {
  return fmt::format(R"("{}":{{"created_time":"{}","date_fmt":"%Y-%m-%dT%H:%M:%S.%fZ"}})", name, rfc3339_nano(written));
}

void put(const pipeline::Repository& repository, std::string_view file, std::string_view text, const Run& run) {
  repository.store->put(repository.key(archive::wal_object(file)), bytes_of(text), {}, run.stop);
}

/// The kept entries of one bulk by file name, without their braces.
std::map<std::string, std::string> kept_entries(const fs::path& folder, std::string_view bulk) {
  struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
  };
  std::map<std::string, std::string> entries;
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(folder.c_str()));
  if (directory == nullptr) throw system_error(errno, folder.native());
  while (const dirent* item = ::readdir(directory.get())) {
    const std::string_view file(item->d_name);
    if (!file.starts_with(bulk) || !file.ends_with(".json")) continue;
    const std::optional<std::string> text = try_read_file(folder / file, entry_limit);
    if (!text) continue;
    std::string_view entry = trim(*text);
    if (entry.size() < 2 || !entry.starts_with('{') || !entry.ends_with('}')) continue;
    entry.remove_prefix(1);
    entry.remove_suffix(1);
    entries.emplace(file, entry);
  }
  return entries;
}

void store_bulk(const pipeline::Repository& repository, std::string_view name, const std::string& entry,
                const fs::path& folder, const Run& run) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw system_error(failure.value(), folder.native());
  replace_file(folder / (std::string(name) + ".json"), "{" + entry + "}", 0600);
  if (!name.ends_with('F')) return;
  const std::string_view bulk = name.substr(0, bulk_digits);
  const std::map<std::string, std::string> entries = kept_entries(folder, bulk);
  std::string text;
  for (const auto& [file, kept] : entries) text.append(text.empty() ? "{" : ",").append(kept);
  text += '}';
  put(repository, std::string(bulk) + ".json", text, run);
  for (const auto& [file, kept] : entries) ::unlink((folder / file).c_str());
}

}  // namespace

WalMetadataLevel parse_wal_metadata_level(std::string_view text) {
  if (text == "NOMETADATA") return WalMetadataLevel::none;
  if (text == "INDIVIDUAL") return WalMetadataLevel::individual;
  if (text == "BULK") return WalMetadataLevel::bulk;
  throw Error(Errc::config,
              fmt::format("WALG_UPLOAD_WAL_METADATA is '{}'; it can be NOMETADATA, INDIVIDUAL or BULK", text));
}

void store_wal_metadata(const pipeline::Repository& repository, WalMetadataLevel level, std::string_view name,
                        Time written, const std::filesystem::path& folder, const Run& run) {
  if (level == WalMetadataLevel::none) return;
  const std::string entry = entry_of(name, written);
  if (level == WalMetadataLevel::individual) {
    put(repository, std::string(name) + ".json", "{" + entry + "}", run);
    return;
  }
  if (!archive::is_segment_name(name)) return;
  if (folder.empty()) {
    throw Error(Errc::config, "WALG_UPLOAD_WAL_METADATA=BULK needs the data directory to collect in; set PGDATA");
  }
  store_bulk(repository, name, entry, folder, run);
}

}  // namespace seawall::ops
