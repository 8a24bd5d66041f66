#include "ops/server_programs.hh"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.hh"
#include "base/text.hh"
#include "postgres/control_file.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

/// Lines of postmaster.pid (miscadmin.h, LOCK_FILE_LINE_…), from 0 on.
constexpr std::size_t port_line = 3;
constexpr std::size_t sockets_line = 4;
constexpr std::size_t status_line = 7;
constexpr auto patience = std::chrono::seconds(60);

std::string major_text(int pg_version) {
  return pg_version >= 100000 ? std::to_string(pg_version / 10000)
                              : fmt::format("{}.{}", pg_version / 10000, pg_version / 100 % 100);
}

/// "postgres (PostgreSQL) 15.14 (Debian …)" of "15"?
bool is_version(const fs::path& postgres, const std::string& major, const Run& run) {
  if (::access(postgres.c_str(), X_OK) != 0) return false;
  const ChildResult result = run_child({.arguments = {postgres.native(), "--version"}}, patience, run);
  const std::size_t number = result.output.find(") ");
  if (result.status != 0 || number == std::string::npos) return false;
  const std::string version = result.output.substr(number + 2);
  return version.starts_with(major) && version.size() > major.size() &&
         (version[major.size()] < '0' || version[major.size()] > '9');
}

/// The last lines, for a message.
std::string tail(const std::string& text, std::size_t lines) {
  const std::string_view whole = trim(text);
  std::size_t from = whole.size();
  for (std::size_t i = 0; i < lines && from != std::string_view::npos && from > 0; ++i)
    from = whole.rfind('\n', from - 1);
  return std::string(trim(from == std::string_view::npos ? whole : whole.substr(from)));
}

}  // namespace

ServerPrograms ServerPrograms::find(const std::string& bindir, int pg_version, const Run& run) {
  const std::string major = major_text(pg_version);
  std::vector<fs::path> places;
  if (!bindir.empty()) {
    places.emplace_back(bindir);
  } else {
    places = {fmt::format("/usr/lib/postgresql/{}/bin", major), fmt::format("/usr/pgsql-{}/bin", major)};
    for (std::string& place : search_path()) places.emplace_back(std::move(place));
  }
  for (const fs::path& place : places) {
    if (is_version(place / "postgres", major, run)) return ServerPrograms(place);
  }
  throw Error(
      Errc::not_found,
      fmt::format("the programs of PostgreSQL {} are not in {}; say where with SEAWALL_PG_BINDIR", major,
                  bindir.empty() ? fmt::format("{}, {} or PATH", places[0].native(), places[1].native()) : bindir));
}

std::optional<std::string> ServerPrograms::try_path(std::string_view name) const {
  const std::string file = path(name);
  if (::access(file.c_str(), X_OK) != 0) return std::nullopt;
  return file;
}

std::optional<ChildRequest::User> owner_of_cluster(const std::string& directory) {
  if (::geteuid() != 0) return std::nullopt;
  struct stat owner {};
  if (::stat(directory.c_str(), &owner) != 0) throw system_error(errno, directory);
  if (owner.st_uid == 0) {
    throw Error(Errc::denied, fmt::format("{} belongs to root, as whom PostgreSQL does not run; give it to another "
                                          "user, or run this as one",
                                          directory));
  }
  return ChildRequest::User{.uid = owner.st_uid, .gid = owner.st_gid};
}

std::optional<ServerState> server_state(const std::string& directory) {
  const std::optional<int> pid = postgres::running_postmaster(directory);
  const std::string text = try_read_file(fs::path(directory) / "postmaster.pid").value_or("");
  if (!pid || text.empty()) return std::nullopt;
  const std::vector<std::string_view> lines = split(text, '\n');
  ServerState state{.pid = *pid, .port = {}, .sockets = {}};
  if (lines.size() > sockets_line) {
    state.port = trim(lines[port_line]);
    state.sockets = trim(lines[sockets_line]);
  }
  if (lines.size() > status_line) {
    state.ready = trim(lines[status_line]) == "ready";
    state.standby = trim(lines[status_line]) == "standby";
  }
  return state;
}

Reached ask_how_far(const ServerPrograms& programs, const ServerState& state, const std::string& directory,
                    const std::string& role, const Run& run) {
  const std::string question =
      "select coalesce(pg_last_wal_replay_lsn()::text, ''), coalesce(pg_last_xact_replay_timestamp()::text, ''), "
      "timeline_id, pg_is_in_recovery() from pg_control_checkpoint()";
  const std::string host = state.sockets.empty() ? "localhost" : state.sockets;
  const ChildResult answer = run_child({.arguments = {programs.path("psql"), "-XAtq", "-F", "|", "-h", host, "-p",
                                                      state.port, "-U", role, "-d", "postgres", "-w", "-c", question},
                                        .directory = "/",
                                        .user = owner_of_cluster(directory)},
                                       patience, run);
  const std::vector<std::string_view> fields = split(trim(answer.output), '|');
  if (answer.status != 0 || fields.size() != 4) {
    throw Error(Errc::db, fmt::format("asking the server how far it got: {}", trim(answer.errors)));
  }
  return {.lsn = std::string(fields[0]),
          .time = std::string(fields[1]),
          .timeline = std::string(fields[2]),
          .in_recovery = fields[3] == "t"};
}

Error server_failure(const std::string& what, const std::string& log_file) {
  const std::string log = try_read_file(log_file).value_or("");
  return {Errc::db, fmt::format("{}; its log ({}) ends with: {}", what, log_file, tail(log, 8))};
}

}  // namespace seawall::ops
