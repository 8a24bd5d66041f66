#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <utility>

#include "ops/restore_backup.hh"
#include "support/archive_builder.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {

/// An archive in memory, and a directory to restore into.
class RestoreTest : public WalTest {
 protected:
  static constexpr std::string_view name = "base_000000010000000000000002";
  static constexpr std::string_view marker = "seawall_restore_incomplete";

  RestoreTest() { settings_.tar_disable_fsync.parse("true", {config::Origin::Kind::flag, "test"}); }

  void one_thread() { settings_.download_concurrency.parse("1", {config::Origin::Kind::flag, "test"}); }

  void restore(RestoreRequest request) {
    if (request.directory.empty()) request.directory = target_;
    if (request.backup.empty()) request.backup = name;
    restore_backup(repository_, request, settings_, run());
  }
  void restore() { restore(RestoreRequest{}); }
  Error refused(RestoreRequest request) {
    return thrown_by([&] { restore(std::move(request)); });
  }
  Error refused() { return refused(RestoreRequest{}); }

  std::string restored(const std::filesystem::path& file) const { return text_of_file(target_ / file); }
  std::uint32_t mode_of(const std::filesystem::path& path) const {
    return static_cast<std::uint32_t>(std::filesystem::status(target_ / path).permissions());
  }
  static std::string part(std::string_view file, std::string_view backup = name) {
    return archive::parts_folder(backup) + std::string(file);
  }
  void remove(const std::string& object) { repository_.store->remove(std::array{repository_.key(object)}, {}); }

  void expect_untouched() const { EXPECT_FALSE(std::filesystem::exists(target_)) << "something was written"; }
  /// What is there says that it is not whole, and no server would start on it.
  void expect_not_startable() const {
    EXPECT_FALSE(std::filesystem::exists(target_ / "global/pg_control"));
    EXPECT_TRUE(std::filesystem::exists(target_ / marker));
  }

  const std::filesystem::path target_ = directory_ / "restored";
  RestoreSettings settings_;
};

}  // namespace seawall::ops
