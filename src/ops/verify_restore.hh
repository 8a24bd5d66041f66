#pragma once

#include <string>
#include <vector>

#include "ops/recovering_server.hh"
#include "ops/restore_cluster.hh"

namespace seawall::ops {

/// A restore that is made in order to be thrown away.
struct VerifyRequest {
  std::string place;                        ///< a directory of it is made in here, and removed
  ClusterRequest cluster;                   ///< its directory and tablespaces are chosen here
  std::string bindir;                       ///< as ServerPrograms::find
  std::vector<std::string> server_options;  ///< "name=value"
  std::vector<std::string> sql_files;       ///< each must run without an error
  std::string database = "postgres";        ///< that they run in
  std::string role = "postgres";            ///< a superuser of the cluster
  bool keep = false;                        ///< leave everything there, the server stopped
  Patience patience = {};                   ///< with recovery
};

struct VerifyStep {
  enum class Outcome { passed, failed, skipped };
  std::string name;  ///< stable: "restore", "recover", "amcheck", "sql FILE"
  Outcome outcome = Outcome::skipped;
  std::chrono::nanoseconds took{};
  std::string detail;     ///< what it found; of one that was skipped why
  Errc code = Errc::bug;  ///< of one that failed
};

struct VerifyReport {
  Time started{};
  std::string backup;   ///< empty: none was found
  std::string scratch;  ///< where it was, or is if it was kept
  int pg_version = 0;
  std::optional<Reached> reached;
  std::vector<VerifyStep> steps;

  const VerifyStep* failure() const noexcept;  ///< the first one; null: all is well
};

/// Restores, recovers with a private server, lets pg_amcheck look at every database (PostgreSQL 14 and later) and runs
/// the SQL files. What fails is in the report. Errors that escape: cancelled, and what is wrong with the place itself.
VerifyReport verify_restore(const pipeline::Repository& repository, const VerifyRequest& request,
                            const RestoreSettings& settings, const Run& run);

}  // namespace seawall::ops
