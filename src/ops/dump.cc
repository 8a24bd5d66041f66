#include "ops/dump.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>

#include "base/text.hh"
#include "base/time_text.hh"
#include "base/work.hh"
#include "ops/archive_identity.hh"
#include "ops/client_program.hh"
#include "ops/dump_programs.hh"
#include "pipeline/object_reader.hh"
#include "pipeline/object_writer.hh"
#include "postgres/databases.hh"

namespace seawall::ops {
namespace {

using archive::Dump;

constexpr std::size_t record_limit = std::size_t{1} << 20;
/// An object without a record is that of a dump under way, or of one that was killed: none takes that long.
constexpr auto longest_dump = std::chrono::days(7);

std::vector<std::string> program_for(const DumpSettings& settings, const DumpRequest& request,
                                     const std::string& database) {
  if (database.empty()) {
    std::vector<std::string> words{client_program(settings, "pg_dumpall"), "--globals-only", "--no-password",
                                   "--database=" + settings.database()};
    if (!request.role_passwords) words.emplace_back("--no-role-passwords");
    return words;
  }
  // Compressed by us: what pg_dump compresses itself neither our codec nor all CPUs can make smaller.
  return {client_program(settings, "pg_dump"), "--format=custom", "--compress=0", "--no-password",
          "--dbname=" + postgres::conninfo_of(database)};
}

/// The run of one program into one object, whose record is put when both ended well.
void take_one(const pipeline::Repository& repository, std::vector<std::string> program, Dump& dump, const Run& run) {
  std::optional<CpuPool> pool;
  if (usable_cpus() > 1) pool.emplace(usable_cpus());
  const std::string object = archive::dump_object(dump.name, dump.database);
  const std::string record = archive::dump_record_object(dump.name, dump.database);
  dump.started = run.clock.wall();
  pipeline::EncodedObjectWriter writer(
      repository, object, {.only_if_absent = true},
      codec::ObjectContext{.key = object, .size_hint = std::nullopt, .pool = pool ? &*pool : nullptr}, run.stop);
  ClientProgram child(std::move(program), ClientProgram::Pipe::its_output, run);
  for (;;) {
    const std::size_t n = child.read(writer.filter().space());
    if (n == 0) break;
    writer.filter().filled(n);
    dump.raw_bytes += n;
    run.progress.advance(n);
  }
  child.finish();
  if (dump.raw_bytes == 0) throw Error(Errc::db, "the program wrote nothing");
  const pipeline::Stored stored = writer.commit();
  if (!stored.created) {
    throw Error(Errc::exists,
                fmt::format("object '{}' is there already: another dump began in the same second", stored.object.key));
  }
  dump.finished = run.clock.wall();
  dump.object = stored.object.key.substr(repository.prefix.size());
  dump.stored_bytes = stored.object.bytes;
  dump.digest = stored.digest;
  try {
    const std::string text = archive::print_dump_record(dump);
    // What a restore could not read, such as a name that is no UTF-8, is no dump.
    archive::parse_dump_record(text, record, repository.key(record));
    repository.store->put(repository.key(record), bytes_of(text), {.only_if_absent = true}, run.stop);
  } catch (const Error&) {
    const std::array<std::string, 1> keys{stored.object.key};
    // Also after a stop was requested. The failure that is told is the first one.
    for (const storage::RemoveFailure& failure : repository.store->remove(keys, std::stop_token{})) {
      run.log.warning("object '{}' stays without a record: {}", failure.key, failure.reason);
    }
    throw;
  }
}

std::vector<postgres::DatabaseInfo> wanted_databases(const postgres::ServerDatabases& server,
                                                     const DumpRequest& request) {
  const auto named = [&](const std::string& name) {
    return std::ranges::any_of(server.databases, [&](const auto& database) { return database.name == name; });
  };
  for (const std::string& name : request.databases) {
    if (!named(name)) {
      throw Error(Errc::not_found, fmt::format("there is no database {} that accepts connections", json_string(name)));
    }
  }
  std::vector<postgres::DatabaseInfo> wanted;
  for (const postgres::DatabaseInfo& database : server.databases) {
    const bool asked = request.databases.empty() || std::ranges::count(request.databases, database.name) > 0;
    if (asked && std::ranges::count(request.excluded, database.name) == 0) wanted.push_back(database);
  }
  return wanted;
}

/// What lies in the dumps' folder: records that can be read, and objects by their key in the archive.
struct Contents {
  std::vector<Dump> dumps;
  std::map<std::string, Time> objects;
};

Contents read_contents(const pipeline::Repository& repository, const Run& run) {
  Contents contents;
  const std::string folder = repository.key(archive::dumps_folder);
  std::vector<std::string> records;
  repository.store->list(
      {.prefix = folder},
      [&](const storage::ObjectInfo& object) {
        const std::string name = object.key.substr(repository.prefix.size());
        if (archive::is_dump_record(std::string_view(object.key).substr(folder.size()))) {
          records.push_back(name);
        } else {
          contents.objects.emplace(name, object.modified);
        }
        return true;
      },
      run.stop);
  for (const std::string& record : records) {
    const std::optional<std::string> text = pipeline::try_get(repository, record, run.stop, record_limit);
    if (!text) continue;  // removed since it was listed
    try {
      contents.dumps.push_back(archive::parse_dump_record(*text, record, repository.key(record)));
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt && error.code() != Errc::unsupported) throw;
      run.log.warning("not listed: {}", error.what());
    }
  }
  return contents;
}

std::vector<ListedDump> with_rotation(const std::vector<Dump>& dumps, const archive::DumpRotation& rotation) {
  std::map<std::string_view, std::vector<std::size_t>> by_database;
  for (std::size_t i = 0; i < dumps.size(); ++i) by_database[dumps[i].database].push_back(i);
  std::vector<ListedDump> listed;
  for (const Dump& dump : dumps) listed.push_back({dump, {}});
  for (const auto& [database, indexes] : by_database) {
    std::vector<Time> started;
    for (const std::size_t i : indexes) started.push_back(dumps[i].started);
    const std::vector<archive::DumpKept> kept = archive::rotate_dumps(started, rotation);
    for (std::size_t i = 0; i < indexes.size(); ++i) listed[indexes[i]].kept = kept[i];
  }
  return listed;
}

void remove(const pipeline::Repository& repository, const std::string& name, const Run& run) {
  const std::array<std::string, 1> keys{repository.key(name)};
  for (const storage::RemoveFailure& failure : repository.store->remove(keys, run.stop)) {
    throw Error(Errc::io, fmt::format("'{}' cannot be removed: {}", failure.key, failure.reason));
  }
}

/// Of killed dumps: data without a record, a readable or any other, of a form that dumps write.
void remove_remains(const pipeline::Repository& repository, Contents contents, const Run& run) {
  for (const Dump& dump : contents.dumps) contents.objects.erase(dump.object);
  for (const auto& [object, modified] : contents.objects) {
    if (run.clock.wall() - modified < longest_dump) continue;
    const std::size_t file = object.rfind('/') + 1;
    const std::size_t data = std::min(object.find(".dump", file), object.find(".sql", file));
    if (data == std::string::npos) continue;
    const std::string record = object.substr(0, data) + ".json";
    if (!archive::is_dump_record(std::string_view(record).substr(archive::dumps_folder.size()))) continue;
    if (repository.store->stat(repository.key(record), run.stop)) continue;
    run.log.info("removing '{}', which a dump that was stopped left behind", repository.key(object));
    remove(repository, object, run);
  }
}

}  // namespace

DumpRun take_dumps(const pipeline::Repository& repository, const DumpSettings& settings, const DumpRequest& request,
                   const Run& run) {
  const postgres::ServerDatabases server = postgres::server_databases(settings.database(), run);
  const std::vector<postgres::DatabaseInfo> databases = wanted_databases(server, request);
  check_archive_identity(repository, server.system_identifier, run);
  const std::string name = compact_utc(run.clock.wall());
  DumpRun result;
  const auto take = [&](const postgres::DatabaseInfo& database) {
    Dump dump;
    dump.name = name;
    dump.database = database.name;
    dump.server_version = server.version;
    dump.encoding = database.encoding;
    dump.collate = database.collate;
    dump.ctype = database.ctype;
    try {
      take_one(repository, program_for(settings, request, database.name), dump, run);
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled || error.code() == Errc::not_found || error.code() == Errc::no_space) throw;
      run.log.error("{} was not dumped: {}", spoken_database(database.name), error.what());
      result.failed.push_back(database.name);
      return;
    }
    run.log.info("dumped {}: {} in {}, stored as '{}' with {}", spoken_database(dump.database),
                 human_bytes(dump.raw_bytes),
                 duration_text(std::chrono::floor<std::chrono::seconds>(dump.finished - dump.started)),
                 repository.key(dump.object), human_bytes(dump.stored_bytes));
    result.taken.push_back(std::move(dump));
  };
  run.progress.phase("dump", std::nullopt);
  for (const postgres::DatabaseInfo& database : databases) take(database);
  if (request.globals) take({});
  run.progress.done();
  return result;
}

std::vector<ListedDump> list_dumps(const pipeline::Repository& repository, const archive::DumpRotation& rotation,
                                   const Run& run) {
  std::vector<ListedDump> listed = with_rotation(read_contents(repository, run).dumps, rotation);
  std::ranges::stable_sort(listed, {},
                           [](const ListedDump& line) { return std::tie(line.dump.name, line.dump.database); });
  return listed;
}

std::vector<Dump> expire_dumps(const pipeline::Repository& repository, const archive::DumpRotation& rotation,
                               const std::vector<std::string>& databases, bool dry_run, const Run& run) {
  Contents contents = read_contents(repository, run);
  std::vector<Dump> gone;
  for (ListedDump& line : with_rotation(contents.dumps, rotation)) {
    if (line.kept.any() || std::ranges::count(databases, line.dump.database) == 0) continue;
    if (!dry_run) {
      remove(repository, archive::dump_record_object(line.dump.name, line.dump.database), run);
      remove(repository, line.dump.object, run);
    }
    gone.push_back(std::move(line.dump));
  }
  if (!dry_run) remove_remains(repository, std::move(contents), run);
  return gone;
}

}  // namespace seawall::ops
