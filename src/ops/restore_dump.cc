#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"
#include "ops/client_program.hh"
#include "ops/dump.hh"
#include "ops/dump_programs.hh"
#include "pipeline/object_reader.hh"
#include "postgres/databases.hh"

namespace seawall::ops {
namespace {

/// Psql goes on after an error, as it must: a role that exists already, if only the first one, is no reason to stop.
std::vector<std::string> program_for_globals(const DumpSettings& settings) {
  return {client_program(settings, "psql"), "--no-psqlrc", "--quiet", "--no-password",
          "--dbname=" + postgres::conninfo_of(settings.database())};
}

std::vector<std::string> program_for_database(const DumpSettings& settings, const archive::Dump& dump,
                                              const RestoreDumpRequest& request, const Run& run) {
  std::vector<std::string> words{client_program(settings, "pg_restore"), "--format=custom", "--exit-on-error",
                                 "--no-password"};
  const std::string& name = request.into.empty() ? dump.database : request.into;
  const postgres::ServerDatabases server = postgres::server_databases(settings.database(), run);
  const bool exists = std::ranges::any_of(server.databases, [&](const auto& found) { return found.name == name; });
  // A database cannot be dropped or made over a connection to itself.
  const std::string other = name == settings.database() ? "template1" : settings.database();
  const bool is_empty = exists && !request.clean && !postgres::holds_anything(name, run);
  if (exists && !request.clean && !is_empty) {
    throw Error(Errc::exists, fmt::format("database {} holds something already, and nothing was changed: --clean drops "
                                          "it first, --into NAME restores beside it",
                                          json_string(name)));
  }
  if (is_empty) {
    words.push_back("--dbname=" + postgres::conninfo_of(name));
  } else if (request.into.empty()) {
    words.emplace_back("--create");
    if (exists) words.insert(words.end(), {"--clean", "--if-exists"});
    words.push_back("--dbname=" + postgres::conninfo_of(other));
  } else if (exists) {
    throw Error(Errc::usage,
                "--clean drops the database that was dumped; one that --into names has to be dropped by hand");
  } else {
    postgres::create_database(
        other, name, {.name = name, .encoding = dump.encoding, .collate = dump.collate, .ctype = dump.ctype}, run);
    words.push_back("--dbname=" + postgres::conninfo_of(name));
  }
  return words;
}

}  // namespace

std::string client_program(const DumpSettings& settings, std::string_view name) {
  return settings.bindir().empty() ? std::string(name) : fmt::format("{}/{}", settings.bindir(), name);
}

std::string spoken_database(std::string_view database) {
  return database.empty() ? "the globals" : fmt::format("database {}", json_string(database));
}

void print_dump(const pipeline::Repository& repository, const archive::Dump& dump, Sink& to, const Run& run) {
  const std::string key = repository.key(dump.object);
  const auto object = repository.store->stat(key, run.stop);
  if (!object) throw Error(Errc::incomplete, fmt::format("'{}' is missing, which the dump's record names", key));
  if (object->bytes != dump.stored_bytes) {
    throw Error(Errc::corrupt, fmt::format("'{}' has {} bytes; {} were stored", key, object->bytes, dump.stored_bytes));
  }
  // With compression off there is no suffix, and ".sql" is not to be taken for one.
  const bool plain = dump.object == archive::dump_object(dump.name, dump.database);
  const codec::Codec& codec = plain ? *codec::find_codec("none") : pipeline::codec_of_key(dump.object);
  pipeline::pull(repository, *object, codec, to, run.stop, dump.digest);
}

void restore_dump(const pipeline::Repository& repository, const DumpSettings& settings, const archive::Dump& dump,
                  const RestoreDumpRequest& request, const Run& run) {
  ClientProgram program(
      dump.database.empty() ? program_for_globals(settings) : program_for_database(settings, dump, request, run),
      ClientProgram::Pipe::its_input, run);
  print_dump(repository, dump, program, run);
  program.finish();
}

}  // namespace seawall::ops
