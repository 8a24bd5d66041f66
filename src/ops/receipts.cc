#include "ops/receipts.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t receipt_limit = 65536;

std::optional<Digest> parse_digest(const std::string& hex) {
  if (hex.size() != 32) return std::nullopt;
  const auto high = parse_int<std::uint64_t>(std::string_view(hex).substr(0, 16), 16);
  const auto low = parse_int<std::uint64_t>(std::string_view(hex).substr(16), 16);
  if (!high || !low) return std::nullopt;
  return Digest{*high, *low};
}

std::optional<Receipt> parse_receipt(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  for (const char* member : {"name", "digest", "repository"}) {
    if (!json.contains(member) || !json[member].is_string()) return std::nullopt;
  }
  for (const char* member : {"bytes", "system_identifier"}) {
    if (!json.contains(member) || !json[member].is_number_unsigned()) return std::nullopt;
  }
  const auto digest = parse_digest(json["digest"].get<std::string>());
  if (!digest) return std::nullopt;
  return Receipt{.name = json["name"].get<std::string>(),
                 .digest = *digest,
                 .bytes = json["bytes"].get<std::uint64_t>(),
                 .repository = json["repository"].get<std::string>(),
                 .system_identifier = json["system_identifier"].get<std::uint64_t>()};
}

bool is_a_directory(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

}  // namespace

std::optional<Receipt> Receipts::find(std::string_view name) const {
  const std::optional<std::string> text = try_read_file(folder_ / name, receipt_limit);
  if (!text) return std::nullopt;
  std::optional<Receipt> receipt = parse_receipt(*text);
  if (!receipt) remove(name);
  return receipt;
}

bool Receipts::holds(std::string_view name) const { return ::access((folder_ / name).c_str(), F_OK) == 0; }

void Receipts::write(const Receipt& receipt) const {
  const std::string text =
      fmt::format("{{\"name\":{},\"digest\":\"{}\",\"bytes\":{},\"repository\":{},\"system_identifier\":{}}}\n",
                  json_string(receipt.name), receipt.digest.hex(), receipt.bytes, json_string(receipt.repository),
                  receipt.system_identifier);
  std::error_code failure;
  fs::create_directories(folder_, failure);
  if (failure) throw system_error(failure.value(), folder_.native());
  // No fsync: two per neighbour would cost as much as archiving it, and a torn receipt is no receipt.
  const fs::path path = folder_ / receipt.name;
  const fs::path temporary = folder_ / (".new." + receipt.name);
  {
    const Fd fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    write_all(fd, bytes_of(text), temporary.native());
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) throw system_error(errno, path.native());
}

void Receipts::remove(std::string_view name) const noexcept { ::unlink((folder_ / name).c_str()); }

std::optional<fs::path> wal_state_folder(const fs::path& pgdata, const fs::path& wal_file) {
  constexpr std::array<std::string_view, 2> wal_folders{"pg_wal", "pg_xlog"};
  if (!pgdata.empty()) {
    for (const std::string_view name : wal_folders) {
      if (is_a_directory(pgdata / name)) return pgdata / name / "walg_data";
    }
  }
  const fs::path folder = wal_file.has_parent_path() ? wal_file.parent_path() : fs::path(".");
  const bool in_pg_wal = folder.filename() == wal_folders[0] || folder.filename() == wal_folders[1];
  if (in_pg_wal || is_a_directory(folder / "archive_status")) return folder / "walg_data";
  return std::nullopt;
}

}  // namespace seawall::ops
