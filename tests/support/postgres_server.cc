#include "support/postgres_server.hh"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace seawall::test {
namespace {

const std::filesystem::path debian_binaries = "/usr/lib/postgresql/15/bin";

/// PostgreSQL refuses to run as root.
PostgresServer::Account server_account() {
  if (geteuid() != 0) return {geteuid(), getegid()};
  const passwd* entry = getpwnam("postgres");
  if (entry == nullptr) throw std::runtime_error("there is no user \"postgres\" to run the test server as");
  return {entry->pw_uid, entry->pw_gid};
}

/// Starts `command` in "/" as the server's user, output to `output`. It gets `on_parent_death` when this process ends.
pid_t spawn(std::vector<std::string> command, PostgresServer::Account account, int output, int on_parent_death) {
  std::vector<char*> arguments;
  for (auto& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork: " + std::string(std::strerror(errno)));
  if (child > 0) return child;

  // Only async-signal-safe calls from here on: another thread may hold any lock.
  const int input = open("/dev/null", O_RDONLY);
  bool ready = dup2(input, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2 && chdir("/") == 0;
  if (geteuid() == 0) {
    ready = ready && setgroups(1, &account.gid) == 0 && setgid(account.gid) == 0 && setuid(account.uid) == 0;
  }
  prctl(PR_SET_PDEATHSIG, on_parent_death);  // after setuid, which clears it
  if (ready && getppid() == parent) execv(arguments[0], arguments.data());
  _exit(127);
}

void give(const std::filesystem::path& path, PostgresServer::Account account) {
  if (chown(path.c_str(), account.uid, account.gid) != 0) {
    throw std::runtime_error(path.string() + ": " + std::strerror(errno));
  }
}

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

PostgresServer::PostgresServer() : PostgresServer(Options{}) {}

PostgresServer::PostgresServer(Options options)
    : options_(std::move(options)),
      account_(server_account()),
      data_(directory_ / "data"),
      socket_(directory_ / "socket") {
  if (options_.binaries.empty()) {
    const char* chosen = std::getenv("SEAWALL_TEST_PG_BIN");
    options_.binaries = chosen != nullptr && *chosen != '\0' ? std::filesystem::path(chosen) : debian_binaries;
  }
  if (!std::filesystem::exists(options_.binaries / "postgres")) {
    throw std::runtime_error("no PostgreSQL server in " + options_.binaries.string() +
                             ": apt install postgresql-15, or set SEAWALL_TEST_PG_BIN");
  }
  std::filesystem::permissions(directory_.path(), std::filesystem::perms(0755));
  make_directory("data");
  make_directory("socket");
  std::vector<std::string> initdb = {"initdb", "-D", data_.string(), "-U",         "postgres", "-A",
                                     "trust",  "-E", "UTF8",         "--locale=C", "-k",       "--no-sync"};
  initdb.insert(initdb.end(), options_.initdb_arguments.begin(), options_.initdb_arguments.end());
  program(initdb);
  std::ofstream(data_ / "postgresql.conf", std::ios::app)
      << "listen_addresses = ''\nunix_socket_directories = '" << socket_.string()
      << "'\nfsync = off\nshared_buffers = 16MB\nmax_connections = 20\nwal_level = replica\n"
      << options_.configuration << '\n';
  start();
}

PostgresServer::~PostgresServer() { stop(); }

std::filesystem::path PostgresServer::make_directory(const std::string& name) const {
  const auto path = directory_ / name;
  std::filesystem::create_directory(path);
  std::filesystem::permissions(path, std::filesystem::perms(0700));
  give(path, account_);
  return path;
}

void PostgresServer::write(const std::string& name, const std::string& content) const {
  std::ofstream(data_ / name) << content;
  give(data_ / name, account_);
}

void PostgresServer::start() {
  const auto log = directory_ / "server.log";
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) throw std::runtime_error(log.string() + ": " + std::strerror(errno));
  // SIGQUIT is the immediate shutdown.
  pid_ = spawn({(options_.binaries / "postgres").string(), "-D", data_.string()}, account_, output, SIGQUIT);
  close(output);
  try {
    wait_until_ready();
  } catch (...) {
    stop();
    throw;
  }
}

void PostgresServer::wait_until_ready() {
  for (int tries = 0; tries < 1200; ++tries) {
    const std::string state = read_all(data_ / "postmaster.pid");
    if (state.find("\nready") != std::string::npos || state.find("\nstandby") != std::string::npos) return;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    usleep(25000);
  }
  throw std::runtime_error("the test server did not start:\n" + log());
}

void PostgresServer::stop() noexcept {
  constexpr std::array signals = {SIGINT, SIGQUIT, SIGKILL};  // fast, immediate, by force
  for (const int signal : signals) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    for (int tries = 0; tries < 800 && pid_ > 0; ++tries) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) != 0) pid_ = -1;
      if (pid_ > 0) usleep(25000);
    }
  }
}

std::string PostgresServer::program(const std::vector<std::string>& command) const {
  std::vector<std::string> full = command;
  auto binary = options_.binaries / command.front();
  // Server packages of other majors come without clients, and a newer client serves as well.
  if (!std::filesystem::exists(binary)) binary = debian_binaries / command.front();
  full.front() = binary.string();
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe: " + std::string(std::strerror(errno)));
  const pid_t child = spawn(full, account_, ends[1], SIGKILL);
  close(ends[1]);
  std::string output;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t count = read(ends[0], buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    output.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error(full.front() + " failed:\n" + output);
  }
  return output;
}

std::string PostgresServer::sql(const std::string& statements, const std::string& database) const {
  std::string output = program({"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", socket_.string(), "-U", "postgres",
                                "-d", database, "-c", statements});
  if (output.ends_with('\n')) output.pop_back();
  return output;
}

std::string PostgresServer::log() const { return read_all(directory_ / "server.log"); }

void PostgresServer::use_by_environment() const {
  for (const char* name : {"PGPORT", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR",
                           "PGOPTIONS", "PGAPPNAME", "PGCONNECT_TIMEOUT", "PGSSLMODE", "PGTARGETSESSIONATTRS"}) {
    unsetenv(name);
  }
  setenv("PGHOST", socket_.c_str(), 1);
  setenv("PGUSER", "postgres", 1);
  setenv("PGDATABASE", "postgres", 1);
}

}  // namespace seawall::test
