#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "commands/app.hh"
#include "commands/commands.hh"
#include "manuals/wal_fetch.hh"
#include "ops/fetch_wal.hh"

extern char** environ;  // NOLINT: POSIX

namespace seawall::commands {
namespace {

struct Args {
  std::string name;
  std::string destination;
  std::string target_storage;
};

/// The attributes and open files of a process that must outlive this one and be no bother to PostgreSQL, which waits
/// for whoever holds restore_command's output.
class DetachedSpawn {
 public:
  explicit DetachedSpawn(bool with_stderr) {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!with_stderr) posix_spawn_file_actions_addopen(&files_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    // This process blocks the signals it waits for, and a child would inherit that.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~DetachedSpawn() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&files_);
  }
  DetachedSpawn(const DetachedSpawn&) = delete;
  DetachedSpawn& operator=(const DetachedSpawn&) = delete;

  /// 0, or the error number. `arguments[0]` is found by PATH if this program's own file cannot be told from /proc.
  int start(std::vector<std::string>& arguments) {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    pid_t child = 0;
    const int failure = posix_spawn(&child, "/proc/self/exe", &files_, &attributes_, pointers.data(), environ);
    if (failure == 0) return 0;
    return posix_spawnp(&child, pointers[0], &files_, &attributes_, pointers.data(), environ);
  }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

void start_prefetch(const Args& args, std::uint64_t segment_bytes, App& app) {
  std::vector<std::string> arguments{app.program, "wal-prefetch", args.name, args.destination};
  arguments.insert(arguments.end(), app.global_arguments.begin(), app.global_arguments.end());
  arguments.push_back(fmt::format("--walg-pg-wal-size={}", segment_bytes >> 20));
  DetachedSpawn spawn(app.run.log.enabled(LogLevel::debug));
  if (const int failure = spawn.start(arguments)) {
    app.run.log.warning("cannot start '{} wal-prefetch': {}", app.program, std::strerror(failure));
  }
}

int run(const Args& args, App& app) {
  ops::FetchWalSettings settings;
  app.sources.load(settings);
  const auto open = [&] {
    pipeline::Repository repository = app.open_repository();
    refuse_unknown_storage(args.target_storage, repository);
    return repository;
  };
  const auto fetched = ops::fetch_wal(open, args.name, args.destination, settings, app.run);
  if (!fetched) {
    app.run.log.info("'{}' is not in the archive", args.name);
    return ops::missing_wal_status;
  }
  // After a missing file nothing is started: a server that asks in vain does so again and again.
  if (fetched->segment_bytes && ops::prefetch_is_due(settings, args.name, *fetched->segment_bytes, args.destination)) {
    start_prefetch(args, *fetched->segment_bytes, app);
  }
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> wal_fetch_command() {
  return cli::make_command<Args>({
      .name = "wal-fetch",
      .summary = "Bring a WAL file back: PostgreSQL's restore_command",
      .manual = manuals::wal_fetch,
      .positionals = {{"wal_name", "", "The file's name; %f in restore_command.", &Args::name, 0, true},
                      {"destination_filename", "", "Where it goes; %p in restore_command.", &Args::destination, 0,
                       true}},
      .options = {{"target-storage", "NAME", "Only this storage.", &Args::target_storage}},
      .fails_with = {Errc::usage, Errc::config, Errc::exists, Errc::not_found, Errc::corrupt, Errc::foreign,
                     Errc::unsupported, Errc::denied, Errc::no_space, Errc::network, Errc::cancelled},
      .run = run,
  });
}

}  // namespace seawall::commands
