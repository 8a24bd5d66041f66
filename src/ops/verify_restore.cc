#include "ops/verify_restore.hh"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/text.hh"

namespace seawall::ops {
namespace {

namespace fs = std::filesystem;

using Outcome = VerifyStep::Outcome;

/// Why a step did not take place.
struct NotRun {
  std::string reason;
};

class Scratch {
 public:
  Scratch(const std::string& place, bool keep) : keep_(keep) {
    std::error_code failure;
    fs::create_directories(place, failure);
    if (failure) throw system_error(failure.value(), place);
    path_ = (fs::absolute(place) / "seawall-verify-XXXXXX").native();
    if (::mkdtemp(path_.data()) == nullptr) throw system_error(errno, path_);
  }
  ~Scratch() {
    std::error_code ignored;
    if (!keep_) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  const bool keep_;
  std::string path_;
};

class Verification {
 public:
  Verification(const pipeline::Repository& repository, const VerifyRequest& request, const RestoreSettings& settings,
               const Run& run)
      : repository_(repository),
        request_(request),
        settings_(settings),
        run_(run),
        scratch_(request.place, request.keep),
        data_(scratch_.path() + "/data") {}

  VerifyReport verify() {
    report_.started = run_.clock.wall();
    report_.scratch = scratch_.path();
    step("restore", [&] { return restore(); });
    step("recover", [&] { return recover(); });
    step("amcheck", [&] { return check_relations(); });
    for (const std::string& file : request_.sql_files) {
      step("sql " + file, [&] { return run_sql(file); });
    }
    server_.reset();
    return std::move(report_);
  }

 private:
  /// A failure is what this is looking for, so it does not end the run: the steps after it say that they were not made.
  template <class Work>
  void step(std::string name, Work&& work) {
    VerifyStep step{.name = std::move(name), .took = {}, .detail = {}};
    if (const VerifyStep* failed = report_.failure(); failed != nullptr && (server_ == nullptr || !recovered_)) {
      step.detail = fmt::format("not reached, because '{}' failed", failed->name);
      report_.steps.push_back(std::move(step));
      return;
    }
    run_.log.info("Verifying: {}", step.name);
    const auto start = run_.clock.steady();
    try {
      step.detail = work();
      step.outcome = Outcome::passed;
    } catch (const NotRun& not_run) {
      step.detail = not_run.reason;
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      step.outcome = Outcome::failed;
      step.detail = error.what();
      step.code = error.code();
    }
    step.took = run_.clock.steady() - start;
    report_.steps.push_back(std::move(step));
  }

  /// Tablespaces come to lie in the scratch directory as well.
  archive::TablespaceSpec relocated(const archive::Sentinel& sentinel) const {
    archive::TablespaceSpec spec = sentinel.spec.value_or(archive::TablespaceSpec{});
    spec.base_prefix = data_;
    for (auto& tablespace : spec.tablespaces) {
      tablespace.location = fmt::format("{}/tablespaces/{}", scratch_.path(), tablespace.oid);
    }
    return spec;
  }

  std::string restore() {
    ClusterRequest cluster = request_.cluster;
    cluster.directory = data_;
    cluster.restore_spec.reset();
    cluster.relocate = [&](const archive::Sentinel& sentinel) -> std::optional<archive::TablespaceSpec> {
      report_.pg_version = sentinel.pg_version;
      if (!sentinel.spec || sentinel.spec->empty()) return std::nullopt;
      return relocated(sentinel);
    };
    if (cluster.target) cluster.target->action = "promote";
    const RestoredCluster restored = restore_cluster(repository_, cluster, settings_, run_);
    report_.backup = restored.backup;
    report_.pg_version = restored.pg_version;
    open_to_owner();
    return fmt::format("backup {}", restored.backup);
  }

  /// The server's user must reach what lies in our directory.
  void open_to_owner() const {
    const auto user = owner_of_cluster(data_);
    if (user && ::chown(scratch_.path().c_str(), user->uid, user->gid) != 0) {
      throw system_error(errno, scratch_.path());
    }
    const fs::path tablespaces = fs::path(scratch_.path()) / "tablespaces";
    if (!user || !fs::exists(tablespaces)) return;
    if (::chown(tablespaces.c_str(), user->uid, user->gid) != 0) throw system_error(errno, tablespaces.native());
    for (const fs::directory_entry& entry : fs::directory_iterator(tablespaces)) {
      if (::chown(entry.path().c_str(), user->uid, user->gid) != 0) throw system_error(errno, entry.path().native());
    }
  }

  std::string recover() {
    programs_ = ServerPrograms::find(request_.bindir, report_.pg_version, run_);
    server_ = std::make_unique<PrivateServer>(
        *programs_, PrivateServer::Place{.data = data_, .scratch = scratch_.path(), .pg_version = report_.pg_version},
        request_.server_options, run_);
    state_ = server_->wait_recovered(request_.patience);
    recovered_ = true;
    report_.reached = ask_how_far(*programs_, state_, data_, request_.role, run_);
    const std::string& time = report_.reached->time;
    return fmt::format("to {}, {}", report_.reached->lsn,
                       time.empty() ? "no transaction was replayed" : "last transaction at " + time);
  }

  ChildResult run_client(std::vector<std::string> words) {
    words.insert(words.begin() + 1, {"-h", state_.sockets, "-p", state_.port, "-U", request_.role});
    return run_child({.arguments = std::move(words), .directory = "/", .user = owner_of_cluster(data_)}, std::nullopt,
                     run_);
  }

  std::string check_relations() {
    if (report_.pg_version < 140000) throw NotRun{"pg_amcheck comes with PostgreSQL 14 and later"};
    const std::optional<std::string> program = programs_->try_path("pg_amcheck");
    if (!program) throw NotRun{"pg_amcheck is not installed beside the server's programs"};
    const ChildResult result = run_client({*program, "--all", "--install-missing", "--no-strict-names"});
    const std::string said(trim(result.output + result.errors));
    if (result.status == 0) return "no corruption in any database";
    if (said.find("could not open extension control file") != std::string::npos ||
        said.find("extension \"amcheck\" is not available") != std::string::npos) {
      throw NotRun{"the extension amcheck is not installed beside the server"};
    }
    throw Error(result.status == 2 ? Errc::corrupt : Errc::db, said.substr(0, 4000));
  }

  /// The file is read by us: the server's user need not reach it.
  std::string run_sql(const std::string& file) {
    const std::optional<std::string> text = try_read_file(file);
    if (!text) throw Error(Errc::not_found, fmt::format("{}: no such file", file));
    const std::string copy = scratch_.path() + "/check.sql";
    replace_file(copy, *text, 0644);
    const ChildResult result =
        run_client({programs_->path("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", request_.database, "-f", copy});
    if (result.status != 0) throw Error(Errc::db, std::string(trim(result.errors)).substr(0, 4000));
    return std::string(trim(result.output)).substr(0, 4000);
  }

  const pipeline::Repository& repository_;
  const VerifyRequest& request_;
  const RestoreSettings& settings_;
  const Run& run_;
  Scratch scratch_;
  const std::string data_;
  std::optional<ServerPrograms> programs_;
  std::unique_ptr<PrivateServer> server_;  // after the scratch directory, so that it ends before that goes
  ServerState state_;
  bool recovered_ = false;
  VerifyReport report_;
};

}  // namespace

const VerifyStep* VerifyReport::failure() const noexcept {
  for (const VerifyStep& step : steps) {
    if (step.outcome == Outcome::failed) return &step;
  }
  return nullptr;
}

VerifyReport verify_restore(const pipeline::Repository& repository, const VerifyRequest& request,
                            const RestoreSettings& settings, const Run& run) {
  return Verification(repository, request, settings, run).verify();
}

}  // namespace seawall::ops
