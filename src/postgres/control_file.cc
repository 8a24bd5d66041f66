#include "postgres/control_file.hh"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "base/crc32c.hh"
#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"

namespace seawall::postgres {
namespace {

/// Offsets in ControlFileData of one version, on 64-bit machines.
struct Layout {
  std::uint32_t version;
  std::size_t timeline;  // checkPointCopy.ThisTimeLineID; until 10 the previous checkpoint's address lies before it
  std::size_t blcksz;
  std::size_t xlog_seg_size;
  std::size_t data_checksum_version;
  std::size_t crc;
};

constexpr std::array<Layout, 6> layouts{{
    {1002, 56, 216, 228, 252, 288},  // 10
    {1100, 48, 208, 220, 244, 280},  // 11
    {1201, 48, 216, 228, 252, 288},  // 12
    {1300, 48, 216, 228, 252, 288},  // 13 to 16
    {1700, 48, 216, 228, 252, 288},  // 17
    {1800, 48, 216, 228, 252, 292},  // 18
}};

constexpr std::size_t version_offset = 8;
constexpr std::size_t state_offset = 16;
constexpr std::uint32_t state_shut_down = 1;  // DB_SHUTDOWNED
constexpr std::size_t checkpoint_offset = 32;
/// PG_CONTROL_FILE_SIZE: the server pads the file with zeros to this.
constexpr std::size_t file_bytes = 8192;

[[noreturn]] void fail(std::string_view name, std::string_view cause) {
  throw Error(Errc::corrupt, fmt::format("{}: not a PostgreSQL control file: {}", name, cause));
}

const Layout& layout_of(Bytes content, std::string_view name) {
  if (content.size() < version_offset + sizeof(std::uint32_t))
    fail(name, fmt::format("it has {} bytes", content.size()));
  const auto version = load_le<std::uint32_t>(content, version_offset);
  const auto found = std::ranges::find(layouts, version, &Layout::version);
  if (found != layouts.end()) return *found;
  // PostgreSQL counts by hundreds per major; anything far from that is damage.
  if (version < 800 || version > 9999) fail(name, fmt::format("its version is {}", version));
  throw Error(Errc::unsupported,
              fmt::format("{}: control file version {} is of a server {} than this seawall knows (PostgreSQL 10 to 18)",
                          name, version, version < layouts.front().version ? "older" : "newer or other"));
}

}  // namespace

ControlFile parse_control_file(Bytes content, std::string_view name) {
  const Layout& at = layout_of(content, name);
  if (content.size() < at.crc + sizeof(std::uint32_t))
    fail(name, fmt::format("it is cut after {} bytes", content.size()));
  if (load_le<std::uint32_t>(content, at.crc) != crc32c(content.first(at.crc))) {
    fail(name, "its checksum is wrong");
  }
  const ControlFile file{.system_identifier = load_le<std::uint64_t>(content, 0),
                         .control_version = at.version,
                         .checkpoint = {load_le<std::uint64_t>(content, checkpoint_offset)},
                         .timeline = load_le<std::uint32_t>(content, at.timeline),
                         .block_bytes = load_le<std::uint32_t>(content, at.blcksz),
                         .wal_segment_bytes = load_le<std::uint32_t>(content, at.xlog_seg_size),
                         .data_checksum_version = load_le<std::uint32_t>(content, at.data_checksum_version),
                         .shut_down = load_le<std::uint32_t>(content, state_offset) == state_shut_down};
  if (!archive::is_segment_size(file.wal_segment_bytes)) {
    fail(name, fmt::format("it says WAL segments of {} bytes", file.wal_segment_bytes));
  }
  if (!std::has_single_bit(file.block_bytes) || file.block_bytes < 1024 || file.block_bytes > 32768) {
    fail(name, fmt::format("it says pages of {} bytes", file.block_bytes));
  }
  return file;
}

std::optional<ControlFile> try_read_control_file(const std::filesystem::path& data_directory) {
  const std::filesystem::path path = data_directory / "global" / "pg_control";
  std::optional<std::string> content = try_read_file(path, 2 * file_bytes);
  for (int tries = 1; content; ++tries) {
    try {
      return parse_control_file(bytes_of(*content), path.string());
    } catch (const Error&) {
      // The server overwrites the file in place, so a read may see half of each state; damage reads the same again.
      std::optional<std::string> again = try_read_file(path, 2 * file_bytes);
      if (again == content || tries == 10) throw;
      content = std::move(again);
    }
  }
  return std::nullopt;
}

std::optional<int> running_postmaster(const std::filesystem::path& data_directory) {
  const std::optional<std::string> content = try_read_file(data_directory / "postmaster.pid");
  if (!content) return std::nullopt;
  // Single-user mode writes its process id with a minus.
  const auto written = parse_int<int>(trim(std::string_view(*content).substr(0, content->find('\n'))));
  if (!written || *written == 0 || *written < -(1 << 30)) return std::nullopt;
  const int pid = std::abs(*written);
  // In a container ids are few: the one that a dead server left behind may be that of this process or its threads.
  std::error_code unknown;
  if (pid == getpid() || std::filesystem::exists(fmt::format("/proc/self/task/{}", pid), unknown)) return std::nullopt;
  if (kill(pid, 0) != 0 && errno == ESRCH) return std::nullopt;
  return pid;
}

}  // namespace seawall::postgres
