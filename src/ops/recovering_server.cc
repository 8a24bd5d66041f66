#include "ops/recovering_server.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/file.hh"
#include "base/time_text.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

constexpr auto between_looks = std::chrono::milliseconds(100);
/// Between pg_ctl's return and postmaster.pid.
constexpr auto time_to_appear = std::chrono::seconds(30);

void give(const std::string& path, const std::optional<ChildRequest::User>& user) {
  if (user && ::chown(path.c_str(), user->uid, user->gid) != 0) throw system_error(errno, path);
}

/// Watches postmaster.pid until `done` says so. `alive` is asked only while there is none.
ServerState wait_until(const std::string& directory, const std::function<bool(const ServerState&)>& done,
                       const std::function<bool()>& alive, const std::string& log_file, Patience patience,
                       const Run& run) {
  const auto start = run.clock.steady();
  for (;;) {
    run.check();
    const std::optional<ServerState> state = server_state(directory);
    if (state && done(*state)) return *state;
    if (!state && !alive()) throw server_failure("the server ended before it was consistent", log_file);
    if (patience && run.clock.steady() - start > *patience) {
      const std::string waited = duration_text(*patience);
      Error error = server_failure(fmt::format("the server is not consistent after {}", waited), log_file);
      throw Error(Errc::timeout, error.what());
    }
    run.clock.sleep(between_looks, run.stop);
  }
}

/// For a shell, which pg_ctl gives the options to.
std::string quoted(const std::string& text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

}  // namespace

ServerState start_server(const ServerPrograms& programs, const std::string& directory,
                         const std::vector<std::string>& options, const std::string& log_file, Patience patience,
                         const Run& run) {
  std::string words;
  for (const std::string& option : options) words += "-c " + quoted(option) + " ";
  const ChildResult started =
      run_child({.arguments = {programs.path("pg_ctl"), "-D", directory, "-l", log_file, "-W", "-o", words, "start"},
                 .directory = "/",
                 .user = owner_of_cluster(directory)},
                std::nullopt, run);
  if (started.status != 0) {
    throw server_failure(fmt::format("pg_ctl could not start the server: {}{}", started.output, started.errors),
                         log_file);
  }
  const auto start = run.clock.steady();
  bool seen = false;
  const auto alive = [&] { return !seen && run.clock.steady() - start < time_to_appear; };
  const auto consistent = [&](const ServerState& state) {
    seen = true;
    return state.ready || state.standby;
  };
  return wait_until(directory, consistent, alive, log_file, patience, run);
}

PrivateServer::PrivateServer(const ServerPrograms& programs, Place place, const std::vector<std::string>& options,
                             const Run& run)
    : place_(std::move(place)),
      run_(run),
      log_file_(place_.scratch + "/server.log"),
      user_(owner_of_cluster(place_.data)) {
  make_sockets_directory();
  write_configuration();
  ChildRequest request{.arguments = {programs.path("postgres"), "-D", place_.data},
                       .directory = "/",
                       .user = user_,
                       .signal_when_orphaned = SIGQUIT};
  // On the command line, where they come before what ALTER SYSTEM left in the cluster. hot_standby is off because with
  // it the server wants settings at least as high as the ones of the server that the backup is of.
  std::vector<std::string> fixed{"config_file=" + place_.scratch + "/server.conf",
                                 "hba_file=" + place_.scratch + "/hba.conf",
                                 "ident_file=" + place_.scratch + "/ident.conf",
                                 "unix_socket_directories=" + sockets_,
                                 "listen_addresses=",
                                 "hot_standby=off",
                                 "archive_mode=off",
                                 "archive_command=",
                                 "shared_preload_libraries=",
                                 "session_preload_libraries=",
                                 "local_preload_libraries=",
                                 "logging_collector=off",
                                 "log_destination=stderr",
                                 "ssl=off",
                                 "fsync=off",
                                 "huge_pages=off",
                                 "external_pid_file=",
                                 "synchronous_standby_names="};
  if (place_.pg_version >= 120000) {
    fixed.insert(fixed.end(), {"primary_conninfo=", "primary_slot_name=", "recovery_min_apply_delay=0"});
  }
  fixed.insert(fixed.end(), options.begin(), options.end());
  for (const std::string& option : fixed) {
    request.arguments.emplace_back("-c");
    request.arguments.push_back(option);
  }
  const Fd log = open_file(log_file_, O_WRONLY | O_APPEND | O_CREAT, 0600);
  give(log_file_, user_);
  request.output = request.errors = log.get();
  server_ = std::make_unique<Child>(request);
}

PrivateServer::~PrivateServer() {
  if (server_) {
    server_->signal(SIGQUIT);
    const std::stop_token never;
    for (int looks = 0; looks < 100 && !server_->try_wait(); ++looks) run_.clock.sleep(between_looks, never);
    server_.reset();
  }
  std::error_code ignored;
  fs::remove_all(sockets_, ignored);
}

/// Under /tmp: a socket's path has 107 bytes at most.
void PrivateServer::make_sockets_directory() {
  sockets_ = "/tmp/seawall-XXXXXX";
  if (::mkdtemp(sockets_.data()) == nullptr) throw system_error(errno, sockets_);
  give(sockets_, user_);
}

void PrivateServer::write_configuration() const {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> files{
      {{"server.conf", ""}, {"hba.conf", "local all all trust\n"}, {"ident.conf", ""}}};
  for (const auto& [name, text] : files) {
    const std::string path = fmt::format("{}/{}", place_.scratch, name);
    replace_file(path, text, 0600);
    give(path, user_);
  }
}

ServerState PrivateServer::wait_recovered(Patience patience) {
  return wait_until(
      place_.data, [](const ServerState& state) { return state.ready; }, [&] { return !server_->try_wait(); },
      log_file_, patience, run_);
}

}  // namespace seawall::ops
