#include "postgres/databases.hh"

#include <fmt/format.h>

#include "base/text.hh"
#include "postgres/libpq.hh"

namespace seawall::postgres {
namespace {

std::string sql_quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

/// 16384 is the first OID that PostgreSQL gives to what users make.
constexpr std::string_view holds_sql =
    "SELECT EXISTS (SELECT FROM pg_class WHERE oid >= 16384) OR EXISTS (SELECT FROM pg_proc WHERE oid >= 16384)";

}  // namespace

ServerDatabases server_databases(std::string_view database, const Run& run) {
  Connection connection({.database = std::string(database)}, run);
  ServerDatabases found;
  found.version = connection.server_version();
  connection.one_row({.activity = "ask which cluster it is",
                      .sql = "SELECT system_identifier FROM pg_control_system()",
                      .if_denied = "GRANT EXECUTE ON FUNCTION pg_control_system() TO the user that takes dumps"},
                     [&](const Row& row) {
                       // A bigint that is meant without sign.
                       found.system_identifier = static_cast<std::uint64_t>(row.integer(0));
                     });
  connection.stream({.activity = "list the databases",
                     .sql = "SELECT datname, pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database "
                            "WHERE datallowconn AND NOT datistemplate ORDER BY datname"},
                    [&](const Row& row) {
                      found.databases.push_back({row.text(0), row.text(1), row.text(2), row.text(3)});
                    });
  return found;
}

bool holds_anything(std::string_view database, const Run& run) {
  Connection connection({.database = std::string(database)}, run);
  bool holds = false;
  connection.one_row(
      {.activity = fmt::format("look into database {}", json_string(database)), .sql = std::string(holds_sql)},
      [&](const Row& row) { holds = row.truth(0); });
  return holds;
}

void create_database(std::string_view connect_to, std::string_view name, const DatabaseInfo& like, const Run& run) {
  Connection connection({.database = std::string(connect_to)}, run);
  connection.execute({.activity = fmt::format("create database {}", json_string(name)),
                      .sql = fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
                                         sql_quoted(name, '"'), sql_quoted(like.encoding, '\''),
                                         sql_quoted(like.collate, '\''), sql_quoted(like.ctype, '\'')),
                      .if_denied = "ALTER ROLE … CREATEDB for the user that restores"});
}

std::string conninfo_of(std::string_view database) {
  std::string text = "dbname='";
  for (const char c : database) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

}  // namespace seawall::postgres
