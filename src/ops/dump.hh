#pragma once

#include <string>
#include <vector>

#include "archive/dump.hh"
#include "base/io.hh"
#include "base/run.hh"
#include "config/setting.hh"
#include "ops/server_programs.hh"
#include "pipeline/repository.hh"

namespace seawall::ops {

struct DumpSettings : ProgramSettings {
  config::Setting<std::string> database{
      *this,
      {.name = "SEAWALL_DUMP_DATABASE",
       .aliases = {"PGDATABASE"},
       .initial = "postgres",
       .doc = "Database that dump and dump-restore connect to for what concerns the whole server."}};
  config::Setting<unsigned> keep_daily{
      *this,
      {.name = "SEAWALL_DUMP_KEEP_DAILY",
       .initial = 7,
       .range = {{0, 100000}},
       .doc = "Days whose last logical dump is kept. All three 0: every dump is kept."}};
  config::Setting<unsigned> keep_weekly{*this,
                                        {.name = "SEAWALL_DUMP_KEEP_WEEKLY",
                                         .initial = 5,
                                         .range = {{0, 100000}},
                                         .doc = "Weeks, from Monday in UTC, whose last logical dump is kept."}};
  config::Setting<unsigned> keep_monthly{*this,
                                         {.name = "SEAWALL_DUMP_KEEP_MONTHLY",
                                          .initial = 12,
                                          .range = {{0, 100000}},
                                          .doc = "Months whose last logical dump is kept."}};

  archive::DumpRotation rotation() const { return {keep_daily(), keep_weekly(), keep_monthly()}; }
};

struct DumpRequest {
  std::vector<std::string> databases;  ///< empty: all that accept connections and are no templates
  std::vector<std::string> excluded;
  bool globals = true;  ///< roles and tablespaces too
  bool role_passwords = true;
};

struct DumpRun {
  std::vector<archive::Dump> taken;
  std::vector<std::string> failed;  ///< databases; what went wrong was logged
};

/// Streams pg_dump of one database after the other, and pg_dumpall of the globals, into the archive. Nothing is kept on
/// disk. The record of a dump is put last; of one that fails nothing stays, and the others are taken all the same.
/// Memory: one part of an upload and the encoder. Errors: foreign (the archive is another cluster's), not_found (no
/// such database or program), and those of connecting.
DumpRun take_dumps(const pipeline::Repository& repository, const DumpSettings& settings, const DumpRequest& request,
                   const Run& run);

/// A dump in the archive, and what rotation would keep it as.
struct ListedDump {
  archive::Dump dump;
  archive::DumpKept kept;
};

/// All that have a record, oldest first, by name of the database within a run. A record that cannot be read is told by
/// a warning and passed over.
std::vector<ListedDump> list_dumps(const pipeline::Repository& repository, const archive::DumpRotation& rotation,
                                   const Run& run);

/// Removes what the rotation keeps as nothing, of these databases (empty: the globals) alone, each record before its
/// object; and objects that a dump which was killed left a week ago. Returns the dumps that went, or that would go.
std::vector<archive::Dump> expire_dumps(const pipeline::Repository& repository, const archive::DumpRotation& rotation,
                                        const std::vector<std::string>& databases, bool dry_run, const Run& run);

struct RestoreDumpRequest {
  std::string into;    ///< another name for the database; empty: its own
  bool clean = false;  ///< drop a database of that name that holds something, and make it anew
};

/// Streams a dump into pg_restore, or the globals into psql. A database that is not there is made, with the properties
/// that it had if it keeps its name; one that holds nothing is used as it is. Errc::exists for one that holds
/// something, unless `clean`; Errc::db if the program fails, Errc::corrupt if the object is damaged: the program is
/// then ended, and the database holds what came before.
void restore_dump(const pipeline::Repository& repository, const DumpSettings& settings, const archive::Dump& dump,
                  const RestoreDumpRequest& request, const Run& run);

/// What pg_dump or pg_dumpall wrote, as it was.
void print_dump(const pipeline::Repository& repository, const archive::Dump& dump, Sink& to, const Run& run);

}  // namespace seawall::ops
